#include "client/cli/svg_explanation.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/svg_writer.h"
#include "client/cli/text.h"

namespace trainyard::cli {
namespace {

constexpr absl::string_view kGrid = "#e3e3e3";
constexpr absl::string_view kAxis = "#888888";
constexpr absl::string_view kGrey = "#a8a8a8";
constexpr absl::string_view kBar = "#4c78a8";
constexpr absl::string_view kSeries[] = {"#4c78a8", "#e45756", "#54a24b", "#f58518",
                                         "#b279a2", "#72b7b2", "#9d755d", "#eeca3b"};
constexpr double kLabelWidth = 210;
constexpr int kLabelColumns = 28;
constexpr double kTop = 58;
constexpr double kRowHeight = 26;
constexpr double kBottom = 52;

// From blue through violet to red, which are told apart by people who do not see red and green.
std::string ValueColour(double share) {
  const auto mix = [share](double low, double middle, double high) {
    const double value =
        share < 0.5 ? low + (middle - low) * share * 2 : middle + (high - middle) * (share * 2 - 1);
    return static_cast<int>(std::lround(value));
  };
  return absl::StrFormat("#%02x%02x%02x", mix(30, 140, 230), mix(110, 80, 30), mix(230, 190, 70));
}

// A range of numbers on a range of pixels.
class Scale {
 public:
  Scale(double low, double high, double from, double to) : low_(low), from_(from), to_(to) {
    range_ = high > low && std::isfinite(high - low) ? high - low : 1;
  }
  double operator()(double value) const {
    const double share = std::clamp((value - low_) / range_, 0.0, 1.0);
    return from_ + share * (to_ - from_);
  }

 private:
  double low_;
  double range_;
  double from_;
  double to_;
};

std::vector<size_t> OrderDescending(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] > values[b]; });
  return order;
}

void DrawTitle(SvgWriter& svg, const std::string& title) {
  svg.Text(16, 26, Fit(title, 110), {.size = 15, .bold = true}, title);
}

void DrawLabel(SvgWriter& svg, double y, const std::string& name) {
  svg.Text(kLabelWidth - 10, y + 4, Fit(Printable(name), kLabelColumns), {.anchor = Anchor::kEnd},
           name);
}

// Vertical lines with numbers below.
void DrawXAxis(SvgWriter& svg, const Scale& x, double low, double high, double top, double bottom,
               int ticks, const std::string& label, double middle) {
  for (const double tick : RoundTicks(low, high, ticks)) {
    svg.Line(x(tick), top, x(tick), bottom, kGrid);
    svg.Text(x(tick), bottom + 16, HumanNumber(tick, 3),
             {.anchor = Anchor::kMiddle, .size = 11, .colour = "#555555"});
  }
  svg.Text(middle, bottom + 36, label, {.anchor = Anchor::kMiddle});
}

// Places of a feature's values between 0 and 1 by rank, equal values alike; -1 where missing.
std::vector<double> RankShares(const ShapChart& chart, const std::vector<size_t>& rows,
                               size_t feature) {
  const size_t width = chart.features.size();
  std::vector<double> sorted;
  for (const size_t row : rows) {
    const double value = chart.feature_values[row * width + feature];
    if (!std::isnan(value)) sorted.push_back(value);
  }
  std::sort(sorted.begin(), sorted.end());
  std::vector<double> shares;
  for (const size_t row : rows) {
    const double value = chart.feature_values[row * width + feature];
    if (std::isnan(value)) {
      shares.push_back(-1);
      continue;
    }
    const auto range = std::equal_range(sorted.begin(), sorted.end(), value);
    const double below = static_cast<double>(range.first - sorted.begin());
    const double above = static_cast<double>(sorted.end() - range.second);
    shares.push_back(below + above == 0 ? 0.5 : below / (below + above));
  }
  return shares;
}

// The points of one feature: points of nearly equal x stand above and below each other.
void DrawSwarm(SvgWriter& svg, const ShapChart& chart, const std::vector<size_t>& rows,
               size_t feature, const Scale& x, double y) {
  constexpr double kBin = 3;
  const std::vector<double> shares = RankShares(chart, rows, feature);
  std::map<int, int> in_bin;
  std::vector<int> places;
  for (const size_t row : rows) {
    const double value = chart.values[row * chart.features.size() + feature];
    places.push_back(in_bin[static_cast<int>(x(value) / kBin)]++);
  }
  int fullest = 1;
  for (const auto& bin : in_bin) fullest = std::max(fullest, bin.second);
  const double step = std::min(2.6, (kRowHeight - 6) / fullest);
  for (size_t i = 0; i < rows.size(); ++i) {
    const double value = chart.values[rows[i] * chart.features.size() + feature];
    // 0, 1, -1, 2, -2 …
    const int side = (places[i] + 1) / 2 * (places[i] % 2 == 0 ? -1 : 1);
    const bool grey = chart.categorical[feature] || shares[i] < 0;
    svg.Circle(x(value), y + side * step, 1.8, grey ? std::string(kGrey) : ValueColour(shares[i]));
  }
}

void DrawValueLegend(SvgWriter& svg, double x, double top, double height) {
  svg.Text(x + 6, top - 8, "high", {.anchor = Anchor::kMiddle, .size = 11});
  svg.GradientRect(x, top, 12, height, ValueColour(1), ValueColour(0.5), ValueColour(0));
  svg.Text(x + 6, top + height + 14, "low", {.anchor = Anchor::kMiddle, .size = 11});
  svg.Text(x + 20, top + height / 2 - 4, "feature", {.size = 11});
  svg.Text(x + 20, top + height / 2 + 10, "value", {.size = 11});
  svg.Circle(x + 6, top + height + 28, 3, kGrey);
  svg.Text(x + 20, top + height + 32, "missing,", {.size = 11});
  svg.Text(x + 20, top + height + 45, "category", {.size = 11});
}

constexpr double kSwarmEnd = 660;
constexpr double kBarsBegin = 690;
constexpr double kBarsEnd = 860;
constexpr double kShapWidth = 980;

// Features of a chart that are drawn, and lines with the one for the rest.
size_t ShownFeatures(const ShapChart& chart) {
  return std::min(chart.mean_absolute.size(), kMaxChartFeatures);
}
size_t ChartLines(const ShapChart& chart) {
  return ShownFeatures(chart) + (chart.mean_absolute.size() > kMaxChartFeatures ? 1 : 0);
}
// The legend needs some height of its own.
double ChartBottom(const ShapChart& chart) {
  return kTop + kRowHeight * static_cast<double>(std::max<size_t>(ChartLines(chart), 6));
}

void DrawMeanBar(SvgWriter& svg, double y, double length, double value, absl::string_view colour) {
  svg.Rect(kBarsBegin, y - 7, length, 14, colour);
  // Inside of long bars, behind short ones.
  const bool inside = length > (kBarsEnd - kBarsBegin) * 0.6;
  svg.Text(kBarsBegin + length + (inside ? -5 : 5), y + 4, HumanNumber(value, 3),
           {.anchor = inside ? Anchor::kEnd : Anchor::kStart,
            .size = 11,
            .colour = inside ? "#ffffff" : "#222222"});
}

// With its points of at most `most_rows` rows.
void DrawShap(SvgWriter& svg, const ShapChart& chart, size_t most_rows) {
  const size_t width = chart.features.size();
  const size_t all_rows = width == 0 ? 0 : chart.values.size() / width;
  std::vector<size_t> rows;
  const size_t drawn_rows = std::min(all_rows, most_rows);
  for (size_t i = 0; i < drawn_rows; ++i) rows.push_back(i * all_rows / drawn_rows);
  const std::vector<size_t> order = OrderDescending(chart.mean_absolute);
  const size_t shown = ShownFeatures(chart);
  const double bottom = ChartBottom(chart);
  DrawTitle(svg, chart.title);

  double low = 0;
  double high = 0;
  for (const size_t row : rows) {
    for (size_t i = 0; i < shown; ++i) {
      low = std::min(low, chart.values[row * width + order[i]]);
      high = std::max(high, chart.values[row * width + order[i]]);
    }
  }
  const double margin = high > low ? (high - low) * 0.03 : 1;
  const Scale x(low - margin, high + margin, kLabelWidth, kSwarmEnd);
  DrawXAxis(svg, x, low, high, kTop, bottom, 6, absl::StrCat("SHAP value", chart.unit),
            (kLabelWidth + kSwarmEnd) / 2);
  svg.Line(x(0), kTop, x(0), bottom, kAxis);
  const double greatest = order.empty() ? 0 : chart.mean_absolute[order[0]];
  double rest = 0;
  for (size_t i = shown; i < order.size(); ++i) rest += chart.mean_absolute[order[i]];
  const Scale bar(0, std::max(greatest, rest), 0, kBarsEnd - kBarsBegin);
  svg.Text(kBarsBegin, kTop - 10, "mean |SHAP value|", {.size = 11});
  for (size_t i = 0; i < shown; ++i) {
    const double y = kTop + kRowHeight * (static_cast<double>(i) + 0.5);
    const double mean = chart.mean_absolute[order[i]];
    DrawLabel(svg, y, chart.features[order[i]]);
    DrawSwarm(svg, chart, rows, order[i], x, y);
    DrawMeanBar(svg, y, bar(mean), mean, kBar);
  }
  if (ChartLines(chart) > shown) {
    const double y = kTop + kRowHeight * (static_cast<double>(shown) + 0.5);
    DrawLabel(svg, y, absl::StrCat("sum of ", order.size() - shown, " others"));
    DrawMeanBar(svg, y, bar(rest), rest, kGrey);
  }
  DrawValueLegend(svg, kBarsEnd + 42, kTop + 8, 80);
}

}  // namespace

std::string ShapSvg(const std::vector<ShapChart>& charts) {
  const size_t count = std::min(charts.size(), kMaxCharts);
  double height = 0;
  for (size_t i = 0; i < count; ++i) height += ChartBottom(charts[i]) + kBottom;
  SvgWriter svg(kShapWidth, height);
  double top = 0;
  for (size_t i = 0; i < count; ++i) {
    svg.BeginGroup(0, top);
    DrawShap(svg, charts[i], kMaxChartRows / count);
    svg.EndGroup();
    top += ChartBottom(charts[i]) + kBottom;
  }
  return svg.Finish();
}

std::string BarsSvg(const BarChart& chart) {
  constexpr double kEnd = 700;
  const std::vector<size_t> order = OrderDescending(chart.values);
  const size_t shown = std::min(order.size(), kMaxChartFeatures);
  const double bottom = kTop + kRowHeight * static_cast<double>(std::max<size_t>(shown, 1));
  SvgWriter svg(780, bottom + kBottom);
  DrawTitle(svg, chart.title);
  const auto deviation = [&](size_t i) {
    return chart.deviations.empty() ? 0 : chart.deviations[i];
  };
  double low = 0;
  double high = 0;
  for (size_t i = 0; i < shown; ++i) {
    low = std::min(low, chart.values[order[i]] - deviation(order[i]));
    high = std::max(high, chart.values[order[i]] + deviation(order[i]));
  }
  const Scale x(low, high, kLabelWidth, kEnd);
  DrawXAxis(svg, x, low, high, kTop, bottom, 6, chart.unit, (kLabelWidth + kEnd) / 2);
  svg.Line(x(0), kTop, x(0), bottom, kAxis);
  for (size_t i = 0; i < shown; ++i) {
    const double y = kTop + kRowHeight * (static_cast<double>(i) + 0.5);
    const double value = chart.values[order[i]];
    DrawLabel(svg, y, chart.names[order[i]]);
    svg.Rect(std::min(x(0), x(value)), y - 7, std::abs(x(value) - x(0)), 14, kBar);
    const double end = x(std::max(value, 0.0) + deviation(order[i]));
    if (deviation(order[i]) > 0) {
      const double from = x(value - deviation(order[i]));
      const double to = x(value + deviation(order[i]));
      svg.Line(from, y, to, y, "#222222", 1.2);
      svg.Line(from, y - 4, from, y + 4, "#222222", 1.2);
      svg.Line(to, y - 4, to, y + 4, "#222222", 1.2);
    }
    svg.Text(end + 6, y + 4, HumanNumber(value, 3), {.size = 11});
  }
  if (order.size() > shown) {
    svg.Text(16, bottom + 36, absl::StrCat("and ", order.size() - shown, " smaller ones"),
             {.size = 11, .colour = "#555555"});
  }
  return svg.Finish();
}

std::string CurvesSvg(const CurveChart& chart) {
  constexpr double kLeft = 90;
  constexpr double kRight = 620;
  constexpr double kCurveBottom = 400;
  SvgWriter svg(800, kCurveBottom + (chart.levels.empty() ? kBottom : 130));
  DrawTitle(svg, chart.title);
  const size_t points = chart.levels.empty() ? chart.x.size() : chart.levels.size();
  double low = HUGE_VAL;
  double high = -HUGE_VAL;
  const auto take = [&](const std::vector<double>& ys) {
    for (const double y : ys) {
      low = std::min(low, y);
      high = std::max(high, y);
    }
  };
  for (const CurveChart::Series& series : chart.series) take(series.y);
  for (const std::vector<double>& curve : chart.individual) take(curve);
  if (!(high > low)) {
    low = std::isfinite(low) ? low - 0.5 : 0;
    high = low + 1;
  }
  const double margin = (high - low) * 0.04;
  const Scale y(low - margin, high + margin, kCurveBottom, kTop);
  const bool numeric = chart.levels.empty() && points > 0;
  const Scale x = numeric ? Scale(chart.x.front(), chart.x.back(), kLeft, kRight)
                          : Scale(-0.5, static_cast<double>(points) - 0.5, kLeft, kRight);
  const auto x_of = [&](size_t i) { return x(numeric ? chart.x[i] : static_cast<double>(i)); };
  for (const double tick : RoundTicks(low, high, 6)) {
    svg.Line(kLeft, y(tick), kRight, y(tick), kGrid);
    svg.Text(kLeft - 8, y(tick) + 4, HumanNumber(tick, 4),
             {.anchor = Anchor::kEnd, .size = 11, .colour = "#555555"});
  }
  if (numeric) {
    DrawXAxis(svg, x, chart.x.front(), chart.x.back(), kTop, kCurveBottom, 7,
              Fit(Printable(chart.x_label), 60), (kLeft + kRight) / 2);
  } else {
    // Levels are written one below the other in turns of four, so that neighbours keep apart.
    const size_t every = std::max<size_t>(1, (points + 23) / 24);
    for (size_t i = 0; i < points; i += every) {
      const double line = kCurveBottom + 16 + 16 * static_cast<double>(i / every % 4);
      svg.Line(x_of(i), kCurveBottom, x_of(i), line - 10, kGrid);
      svg.Text(x_of(i), line, Fit(Printable(chart.levels[i]), 12),
               {.anchor = Anchor::kMiddle, .size = 11}, chart.levels[i]);
    }
    svg.Text((kLeft + kRight) / 2, kCurveBottom + 104, Fit(Printable(chart.x_label), 60),
             {.anchor = Anchor::kMiddle});
  }
  const auto draw = [&](const std::vector<double>& ys, absl::string_view colour, double width,
                        double opacity) {
    std::vector<std::pair<double, double>> line;
    for (size_t i = 0; i < points; ++i) line.emplace_back(x_of(i), y(ys[i]));
    svg.Polyline(line, colour, width, opacity);
    for (size_t i = 0; !numeric && width > 1 && i < points; ++i) {
      svg.Circle(line[i].first, line[i].second, 3, colour);
    }
  };
  const size_t curves = std::min<size_t>(chart.individual.size(), 200);
  for (size_t i = 0; i < curves; ++i) {
    draw(chart.individual[i * chart.individual.size() / curves], kGrey, 0.6, 0.4);
  }
  const size_t colours = std::size(kSeries);
  const size_t shown = std::min<size_t>(chart.series.size(), 2 * colours);
  for (size_t s = 0; s < shown; ++s) {
    draw(chart.series[s].y, kSeries[s % colours], s < colours ? 2.2 : 1.2, 1);
    const double line = kTop + 10 + 20 * static_cast<double>(s);
    svg.Line(kRight + 16, line, kRight + 36, line, kSeries[s % colours], s < colours ? 2.2 : 1.2);
    svg.Text(kRight + 42, line + 4, Fit(Printable(chart.series[s].name), 16), {},
             chart.series[s].name);
  }
  svg.Line(kLeft, kTop, kLeft, kCurveBottom, kAxis);
  svg.Line(kLeft, kCurveBottom, kRight, kCurveBottom, kAxis);
  svg.Text(kLeft, kTop - 10, Fit(Printable(chart.y_label), 60), {.size = 11});
  return svg.Finish();
}

}  // namespace trainyard::cli
