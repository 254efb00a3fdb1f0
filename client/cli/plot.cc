#include "client/cli/plot.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "client/cli/text.h"

namespace trainyard::cli {
namespace {

// Dots in characters of 2 x 4: U+2800 and one bit per dot.
class Canvas {
 public:
  Canvas(int columns, int lines)
      : columns_(columns), cells_(static_cast<size_t>(columns) * static_cast<size_t>(lines)) {}

  void Dot(int x, int y) {
    constexpr unsigned char kBits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    cells_[CellAt(x / 2, y / 4)] |= kBits[y % 4][x % 2];
  }

  void Line(int x0, int y0, int x1, int y1) {
    const int steps = std::max({std::abs(x1 - x0), std::abs(y1 - y0), 1});
    for (int i = 0; i <= steps; ++i) {
      const double share = static_cast<double>(i) / steps;
      Dot(static_cast<int>(std::lround(x0 + share * (x1 - x0))),
          static_cast<int>(std::lround(y0 + share * (y1 - y0))));
    }
  }

  std::string Row(int line) const {
    std::string row;
    for (int c = 0; c < columns_; ++c) {
      const unsigned char bits = cells_[CellAt(c, line)];
      if (bits == 0) {
        row += ' ';
        continue;
      }
      row += '\xe2';
      row += static_cast<char>(0xa0 | bits >> 6);
      row += static_cast<char>(0x80 | (bits & 0x3f));
    }
    return row;
  }

 private:
  size_t CellAt(int column, int line) const {
    return static_cast<size_t>(line) * static_cast<size_t>(columns_) + static_cast<size_t>(column);
  }

  int columns_;
  std::vector<unsigned char> cells_;
};

struct Range {
  double low = 0;
  double high = 0;
  // Place of `value` between 0 and 1; the middle where the range is empty.
  double Share(double value) const {
    // Halves first: the width of a range of very large numbers would overflow.
    return high > low ? (value / 2 - low / 2) / (high / 2 - low / 2) : 0.5;
  }
};

Curve FinitePoints(const Curve& curve) {
  Curve finite;
  for (const auto& point : curve) {
    if (std::isfinite(point.first) && std::isfinite(point.second)) finite.push_back(point);
  }
  return finite;
}

Range RangeOf(const Curve& curve, double (*of)(const std::pair<double, double>&)) {
  Range range{of(curve[0]), of(curve[0])};
  for (const auto& point : curve) {
    range.low = std::min(range.low, of(point));
    range.high = std::max(range.high, of(point));
  }
  return range;
}

void Draw(const Curve& curve, bool log_x, const Range& y_range, int width, int height,
          Canvas& canvas) {
  const auto x_of = [&](double x) { return log_x ? std::log(x) : x; };
  const Range x_range{x_of(curve.front().first), x_of(curve.back().first)};
  int last_x = -1;
  int last_y = -1;
  for (const auto& [x, y] : curve) {
    if (!std::isfinite(y)) {
      last_x = -1;
      continue;
    }
    const int dot_x = static_cast<int>(std::lround(x_range.Share(x_of(x)) * (width - 1)));
    const int dot_y = static_cast<int>(std::lround((1 - y_range.Share(y)) * (height - 1)));
    if (last_x < 0) {
      canvas.Dot(dot_x, dot_y);
    } else {
      canvas.Line(last_x, last_y, dot_x, dot_y);
    }
    last_x = dot_x;
    last_y = dot_y;
  }
}

}  // namespace

std::string RenderPlot(const Curve& curve, const PlotOptions& options, const Terminal& terminal) {
  const Curve finite = FinitePoints(curve);
  if (finite.size() < 2) return "";
  Curve drawn;
  for (const auto& point : curve) {
    if (std::isfinite(point.first)) drawn.push_back(point);
  }
  std::sort(drawn.begin(), drawn.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  const bool log_x = options.log_x && drawn.front().first > 0;
  const Range y_range =
      RangeOf(finite, [](const std::pair<double, double>& p) { return p.second; });
  const std::string top = HumanNumber(y_range.high);
  const std::string bottom = HumanNumber(y_range.low);
  const int margin = std::max(DisplayWidth(top), DisplayWidth(bottom));
  const int columns = std::max(8, std::min(options.width, terminal.width) - margin - 2);
  Canvas canvas(columns, options.height);
  Draw(drawn, log_x, y_range, columns * 2, options.height * 4, canvas);

  std::string out = absl::StrCat(terminal.Paint(options.title, Colour::kBold), "\n");
  for (int line = 0; line < options.height; ++line) {
    const std::string label = line == 0 ? top : line == options.height - 1 ? bottom : "";
    std::string row = canvas.Row(line);
    row.erase(row.find_last_not_of(' ') + 1);
    absl::StrAppend(&out, terminal.Paint(Pad(label, margin, true), Colour::kDim), " │",
                    terminal.Paint(row, Colour::kCyan), "\n");
  }
  const std::string left = HumanNumber(drawn.front().first);
  const std::string right =
      absl::StrCat(options.x_label, log_x ? " (log) " : " ", HumanNumber(drawn.back().first));
  const int room = std::max(columns - DisplayWidth(left), DisplayWidth(right) + 1);
  absl::StrAppend(&out, std::string(static_cast<size_t>(margin + 1), ' '), "└", left,
                  Pad(right, room, true), "\n");
  return out;
}

}  // namespace trainyard::cli
