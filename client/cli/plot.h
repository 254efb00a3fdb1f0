// Curves drawn with braille characters: two by four dots in each.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "client/cli/terminal.h"

namespace trainyard::cli {

// Points of one curve, ascending in x. Values that are not finite leave a gap.
using Curve = std::vector<std::pair<double, double>>;

struct PlotOptions {
  std::string title;
  // Name of the horizontal axis.
  std::string x_label = "step";
  // Height of the drawing in lines, without title and axis.
  int height = 8;
  // Width of everything in columns; the terminal's width bounds it too.
  int width = 72;
  // Whether x is shown by its logarithm; only where all x are positive.
  bool log_x = false;
};

// The curve with a title, its greatest and least value on the left and the range of x below. Empty
// when the curve has fewer than two finite points.
std::string RenderPlot(const Curve& curve, const PlotOptions& options, const Terminal& terminal);

}  // namespace trainyard::cli
