#include "client/cli/explanation_text.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/json.h"
#include "client/cli/plot.h"
#include "client/cli/svg_explanation.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace trainyard::cli {
namespace {

constexpr size_t kMaxBars = 20;
constexpr int kMaxOutputs = 8;

// A bar of eighths of a character.
std::string Bar(double share, int width) {
  constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * width * 8));
  std::string bar;
  for (int i = 0; i < eighths / 8; ++i) bar += "█";
  return bar + kEighths[eighths % 8];
}

std::string Bars(const google::protobuf::RepeatedPtrField<std::string>& names,
                 const std::vector<double>& values, const std::vector<double>& deviations,
                 const Terminal& terminal) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] > values[b]; });
  const size_t shown = std::min(order.size(), kMaxBars);
  const double greatest = order.empty() ? 0 : std::max(values[order[0]], 0.0);
  const int width = std::min(terminal.width, 100);
  int name_width = 8;
  for (size_t i = 0; i < shown; ++i) {
    name_width = std::max(name_width, DisplayWidth(Printable(names[static_cast<int>(order[i])])));
  }
  name_width = std::min(name_width, std::max(8, width / 3));
  const int number_width = deviations.empty() ? 11 : 22;
  const int bar_width = std::max(5, width - name_width - number_width - 3);
  std::string text;
  for (size_t i = 0; i < shown; ++i) {
    const double value = values[order[i]];
    std::string number = HumanNumber(value);
    if (!deviations.empty()) absl::StrAppend(&number, " ± ", HumanNumber(deviations[order[i]], 2));
    absl::StrAppend(
        &text, Pad(Fit(Printable(names[static_cast<int>(order[i])]), name_width), name_width), " ",
        Pad(number, number_width, true), " ",
        terminal.Paint(greatest > 0 ? Bar(value / greatest, bar_width) : "", Colour::kCyan), "\n");
  }
  if (order.size() > shown) {
    absl::StrAppend(&text, "… and ", order.size() - shown, " more\n");
  }
  return text;
}

std::vector<double> Part(const std::vector<double>& values, int begin, int count) {
  const auto from = values.begin() + begin;
  return {from, from + count};
}

std::string ShapText(const ExplanationData& data, const Terminal& terminal) {
  const v1::ExplanationInfo& info = data.info();
  const std::vector<double> means = data.MeanAbsolute();
  const int features = info.features_size();
  std::string text;
  for (int k = 0; k < std::min(info.outputs_size(), kMaxOutputs); ++k) {
    const std::string title =
        absl::StrCat("mean |SHAP value| of ", Printable(info.outputs(k)), ", ", info.row_count(),
                     " rows, base ", HumanNumber(info.base_values(k)));
    absl::StrAppend(&text, k > 0 ? "\n" : "", terminal.Paint(title, Colour::kBold), "\n",
                    Bars(info.features(), Part(means, k * features, features), {}, terminal));
  }
  if (info.outputs_size() > kMaxOutputs) {
    absl::StrAppend(&text, "\n… and ", info.outputs_size() - kMaxOutputs,
                    " more outputs; name those wanted with --of\n");
  }
  return text;
}

std::string DependenceText(const ExplanationData& data, const Terminal& terminal) {
  const v1::DependenceBlock& block = data.dependence();
  const v1::ExplanationInfo& info = data.info();
  const int outputs = info.outputs_size();
  const bool curve = block.axes_size() == 1 && block.axes(0).levels_size() == 0;
  std::string text;
  for (int k = 0; curve && k < std::min(outputs, kMaxOutputs); ++k) {
    Curve points;
    for (int i = 0; i < block.axes(0).values_size(); ++i) {
      points.emplace_back(block.axes(0).values(i), block.means(i * outputs + k));
    }
    PlotOptions options;
    options.title = absl::StrCat("mean score of ", Printable(info.outputs(k)));
    options.x_label = Printable(block.axes(0).feature());
    absl::StrAppend(&text, k > 0 ? "\n" : "", RenderPlot(points, options, terminal));
  }
  if (!text.empty()) return text;
  constexpr size_t kMaxPoints = 50;
  std::vector<TextColumn> columns;
  columns.reserve(static_cast<size_t>(block.axes_size() + outputs));
  for (const v1::DependenceAxis& axis : block.axes()) {
    columns.push_back({Printable(axis.feature()), axis.levels_size() == 0});
  }
  for (const std::string& output : info.outputs()) columns.push_back({Printable(output), true});
  TextTable table(std::move(columns));
  const size_t points = data.PointCount();
  for (size_t point = 0; point < std::min(points, kMaxPoints); ++point) {
    std::vector<std::string> cells;
    cells.reserve(static_cast<size_t>(block.axes_size() + outputs));
    for (int axis = 0; axis < block.axes_size(); ++axis) {
      cells.push_back(Printable(data.PointText(point, axis)));
    }
    for (int k = 0; k < outputs; ++k) {
      cells.push_back(HumanNumber(block.means(static_cast<int>(point) * outputs + k)));
    }
    table.AddRow(std::move(cells));
  }
  text = table.Render(terminal);
  if (points > kMaxPoints) {
    absl::StrAppend(&text, "… and ", points - kMaxPoints, " more; --output writes all\n");
  }
  return text;
}

std::string UnitOf(v1::ExplanationInfo::Scale scale) {
  switch (scale) {
    case v1::ExplanationInfo::SCALE_LOG_ODDS:
      return " (log odds)";
    case v1::ExplanationInfo::SCALE_SOFTMAX:
      return " (argument of the softmax)";
    case v1::ExplanationInfo::SCALE_LOG:
      return " (logarithm of the prediction)";
    default:
      return "";
  }
}

std::string CurveSvg(const ExplanationData& data, const std::string& model) {
  const v1::DependenceBlock& block = data.dependence();
  if (block.axes_size() != 1) return "";
  const v1::DependenceAxis& axis = block.axes(0);
  CurveChart chart;
  chart.title = absl::StrCat("Dependence of ", model, " on ", Printable(axis.feature()));
  chart.x_label = axis.feature();
  chart.y_label = absl::StrCat("mean score", UnitOf(data.info().scale()));
  chart.x.assign(axis.values().begin(), axis.values().end());
  chart.levels.assign(axis.levels().begin(), axis.levels().end());
  const size_t outputs = static_cast<size_t>(data.info().outputs_size());
  const size_t points = data.PointCount();
  for (size_t k = 0; k < outputs; ++k) {
    CurveChart::Series& series = chart.series.emplace_back();
    series.name = data.info().outputs(static_cast<int>(k));
    for (size_t i = 0; i < points; ++i) {
      series.y.push_back(block.means(static_cast<int>(i * outputs + k)));
    }
  }
  // Curves of rows belong to one output; several would hide each other.
  const std::vector<double>& curves = data.kept_curves();
  for (size_t i = 0; outputs == 1 && points > 0 && i + points <= curves.size(); i += points) {
    chart.individual.push_back(Part(curves, static_cast<int>(i), static_cast<int>(points)));
  }
  return CurvesSvg(chart);
}

ShapChart MakeShapChart(const ExplanationData& data, const std::string& model, int output) {
  const v1::ExplanationInfo& info = data.info();
  ShapChart chart;
  chart.title = absl::StrCat("SHAP values of ", Printable(info.outputs(output)), " in ", model,
                             ", ", info.row_count(), " rows");
  chart.unit = UnitOf(info.scale());
  chart.features.assign(info.features().begin(), info.features().end());
  chart.categorical.assign(info.categorical().begin(), info.categorical().end());
  const int features = info.features_size();
  const int first = output * features;
  chart.mean_absolute = Part(data.MeanAbsolute(), first, features);
  chart.feature_values = data.kept_features();
  const int width = features * info.outputs_size();
  const std::vector<double>& kept = data.kept_values();
  for (size_t i = 0; width > 0 && i < kept.size(); i += static_cast<size_t>(width)) {
    const auto from = kept.begin() + static_cast<ptrdiff_t>(i) + first;
    chart.values.insert(chart.values.end(), from, from + features);
  }
  return chart;
}

}  // namespace

std::string ExplanationText(const ExplanationData& data, const Terminal& terminal) {
  if (data.dependence().axes_size() > 0) return DependenceText(data, terminal);
  if (data.importance().importances_size() == 0) return ShapText(data, terminal);
  const v1::ImportanceBlock& block = data.importance();
  const std::vector<double> deviations(block.deviations().begin(), block.deviations().end());
  const std::string title =
      deviations.empty()
          ? "share of the decrease of impurity"
          : absl::StrCat("loss of quality when shuffled; quality of ", data.info().row_count(),
                         " rows as they are ", HumanNumber(block.quality()));
  return absl::StrCat(
      terminal.Paint(title, Colour::kBold), "\n",
      Bars(data.info().features(),
           std::vector<double>(block.importances().begin(), block.importances().end()), deviations,
           terminal));
}

std::string ExplanationJson(const ExplanationData& data, const std::string& model) {
  const auto json_of = [](const google::protobuf::Message& message) {
    std::string json = ToJson(message, true);
    while (!json.empty() && json.back() == '\n') json.pop_back();
    return json;
  };
  std::string json =
      absl::StrCat("{\"model\": ", JsonQuote(model), ", \"info\": ", json_of(data.info()));
  if (data.dependence().axes_size() > 0) {
    v1::DependenceBlock block = data.dependence();
    block.clear_individual();
    absl::StrAppend(&json, ", \"dependence\": ", json_of(block));
  } else if (data.importance().importances_size() > 0) {
    absl::StrAppend(&json, ", \"importance\": ", json_of(data.importance()));
  } else {
    v1::ShapBlock means;
    for (const double mean : data.MeanAbsolute()) means.add_values(mean);
    const int features = data.info().features_size();
    absl::StrAppend(&json, ", \"mean_absolute_shap\": [");
    for (int k = 0; k < data.info().outputs_size(); ++k) {
      absl::StrAppend(&json, k > 0 ? ", [" : "[");
      for (int j = 0; j < features; ++j) {
        absl::StrAppend(&json, j > 0 ? ", " : "", HumanNumber(means.values(k * features + j), 17));
      }
      json += "]";
    }
    json += "]";
  }
  return json + "}\n";
}

std::string ExplanationSvg(const ExplanationData& data, const std::string& model) {
  if (data.dependence().axes_size() > 0) return CurveSvg(data, model);
  const v1::ExplanationInfo& info = data.info();
  const v1::ImportanceBlock& block = data.importance();
  const std::vector<std::string> names(info.features().begin(), info.features().end());
  if (block.importances_size() > 0) {
    const bool permutation = block.deviations_size() > 0;
    return BarsSvg(
        {absl::StrCat("Importances in ", model),
         permutation ? "loss of quality when shuffled" : "share of the decrease of impurity",
         names,
         {block.importances().begin(), block.importances().end()},
         {block.deviations().begin(), block.deviations().end()}});
  }
  std::vector<ShapChart> charts;
  charts.reserve(static_cast<size_t>(info.outputs_size()));
  for (int output = 0; output < info.outputs_size(); ++output) {
    charts.push_back(MakeShapChart(data, model, output));
  }
  if (charts.size() > kMaxCharts) {
    absl::StrAppend(&charts[kMaxCharts - 1].title, "; of ", charts.size() - kMaxCharts,
                    " more by --of");
  }
  return ShapSvg(charts);
}

}  // namespace trainyard::cli
