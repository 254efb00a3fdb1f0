#include "client/cli/plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "client/cli/text.h"

namespace trainyard::cli {
namespace {

PlotOptions Small() {
  PlotOptions options;
  options.title = "loss";
  options.height = 3;
  options.width = 18;
  return options;
}

TEST(PlotTest, DrawsAFallingLine) {
  Curve curve;
  for (int x = 1; x <= 25; ++x) curve.emplace_back(x, 25 - x);
  EXPECT_EQ(RenderPlot(curve, Small(), Terminal()),
            "loss\n"
            "24 │⠉⠒⠤⢄⡀\n"
            "   │    ⠈⠑⠢⠤⢄⡀\n"
            " 0 │         ⠈⠑⠒⠤⣀\n"
            "   └1      step 25\n");
}

TEST(PlotTest, DrawsAConstantInTheMiddle) {
  const std::string plot = RenderPlot({{0, 5}, {10, 5}}, Small(), Terminal());
  EXPECT_NE(plot.find("\n  │⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤\n"), std::string::npos) << plot;
}

TEST(PlotTest, NeedsTwoFinitePoints) {
  const double nan = std::nan("");
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(RenderPlot({}, Small(), Terminal()), "");
  EXPECT_EQ(RenderPlot({{1, 1}}, Small(), Terminal()), "");
  EXPECT_EQ(RenderPlot({{1, 1}, {2, nan}, {3, inf}}, Small(), Terminal()), "");
  EXPECT_NE(RenderPlot({{1, 1}, {2, nan}, {3, 2}, {nan, 1}}, Small(), Terminal()), "");
}

TEST(PlotTest, SurvivesTheWidestRanges) {
  const double most = std::numeric_limits<double>::max();
  const std::string plot = RenderPlot({{-most, -most}, {most, most}}, Small(), Terminal());
  EXPECT_NE(plot.find("1.798e+308"), std::string::npos) << plot;
  EXPECT_NE(RenderPlot({{1, 0}, {1, 5e-324}}, Small(), Terminal()), "");
}

TEST(PlotTest, FitsTheTerminal) {
  Curve curve;
  for (int x = 0; x < 500; ++x) curve.emplace_back(x, std::sin(x / 20.0));
  PlotOptions options;
  options.title = "a wave";
  Terminal terminal;
  terminal.width = 40;
  const std::string text = RenderPlot(curve, options, terminal);
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    EXPECT_LE(DisplayWidth(text.substr(begin, end - begin)), 40);
  }
}

TEST(PlotTest, LogarithmSpreadsSmallValues) {
  Curve curve = {{0.1, 1}, {1, 2}, {10, 3}, {100, 4}};
  PlotOptions options = Small();
  options.log_x = true;
  EXPECT_EQ(RenderPlot(curve, options, Terminal()),
            "loss\n"
            "4 │          ⢀⡠⠤⠒⠉\n"
            "  │    ⢀⣀⠤⠔⠒⠉⠁\n"
            "1 │⣀⠤⠒⠊⠁\n"
            "  └0.1 step (log) 100\n");
}

}  // namespace
}  // namespace trainyard::cli
