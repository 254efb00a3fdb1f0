// Charts: well-formed XML, everything inside the frame, names escaped and cut.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <regex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/svg_explanation.h"
#include "client/cli/svg_writer.h"

namespace trainyard::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Checks tags and attributes of a document without comments; returns the names of all elements.
std::vector<std::string> ParseXml(const std::string& xml) {
  std::vector<std::string> names;
  std::vector<std::string> open;
  const std::regex tag(R"(<(/?)([a-zA-Z]+)((?:\s[a-zA-Z0-9:-]+="[^"<&]*")*)(/?)>)");
  size_t at = xml.find("?>") + 2;
  while (at < xml.size()) {
    if (xml[at] != '<') {
      if (xml[at] == '&') {
        EXPECT_TRUE(std::regex_search(xml.substr(at, 8), std::regex("^&(amp|lt|gt|quot|apos);")))
            << xml.substr(at, 8);
      }
      EXPECT_NE(xml[at], '>') << xml.substr(at, 20);
      ++at;
      continue;
    }
    std::smatch match;
    const std::string rest = xml.substr(at, 100'000);
    if (!std::regex_search(rest, match, tag, std::regex_constants::match_continuous)) {
      ADD_FAILURE() << "no tag: " << rest.substr(0, 80);
      return names;
    }
    if (match[1].length() > 0) {
      EXPECT_FALSE(open.empty());
      if (!open.empty()) {
        EXPECT_EQ(open.back(), match[2].str());
        open.pop_back();
      }
    } else {
      names.push_back(match[2]);
      if (match[4].length() == 0) open.push_back(match[2]);
    }
    at += static_cast<size_t>(match[0].length());
  }
  EXPECT_TRUE(open.empty());
  return names;
}

// Values of an attribute in the elements of that name.
std::vector<double> Values(const std::string& xml, const std::string& element,
                           const std::string& attribute) {
  std::vector<double> values;
  const std::regex pattern(absl::StrCat("<", element, "[^>]* ", attribute, "=\"(-?[0-9.]+)\""));
  for (std::sregex_iterator it(xml.begin(), xml.end(), pattern), end; it != end; ++it) {
    values.push_back(std::stod((*it)[1]));
  }
  return values;
}

void ExpectInside(const std::string& svg) {
  const double width = Values(svg, "svg", "width")[0];
  const double height = Values(svg, "svg", "height")[0];
  for (const auto& [element, x, y] : std::vector<std::array<const char*, 3>>{{"circle", "cx", "cy"},
                                                                             {"text", "x", "y"},
                                                                             {"line", "x1", "y1"},
                                                                             {"line", "x2", "y2"},
                                                                             {"rect", "x", "y"}}) {
    for (const double value : Values(svg, element, x)) {
      EXPECT_GE(value, 0) << element;
      EXPECT_LE(value, width) << element;
    }
    for (const double value : Values(svg, element, y)) {
      EXPECT_GE(value, 0) << element;
      EXPECT_LE(value, height) << element;
    }
  }
  const std::vector<double> x = Values(svg, "rect", "x");
  const std::vector<double> widths = Values(svg, "rect", "width");
  ASSERT_EQ(x.size(), widths.size());
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_GE(widths[i], 0);
    EXPECT_LE(x[i] + widths[i], width + 0.2);
  }
}

ShapChart MakeChart(size_t rows, size_t features) {
  ShapChart chart;
  chart.title = "SHAP values";
  for (size_t j = 0; j < features; ++j) {
    chart.features.push_back(absl::StrCat("feature ", j));
    chart.categorical.push_back(j % 5 == 4);
    chart.mean_absolute.push_back(1.0 / static_cast<double>(j + 1));
  }
  for (size_t i = 0; i < rows * features; ++i) {
    const double x = std::sin(static_cast<double>(i * i));
    chart.values.push_back(x / static_cast<double>(i % features + 1));
    chart.feature_values.push_back(i % 7 == 0 ? std::nan("") : x);
  }
  return chart;
}

TEST(XmlEscapeTest, EscapesWhatXmlTakesForMarkup) {
  EXPECT_EQ(XmlEscape("a<b>&\"c'"), "a&lt;b&gt;&amp;&quot;c&apos;");
  EXPECT_EQ(XmlEscape("größe"), "größe");
  EXPECT_THAT(XmlEscape("a\x01\xff"), Not(HasSubstr("\x01")));
}

TEST(RoundTicksTest, AreRoundAndInside) {
  EXPECT_THAT(RoundTicks(0, 10, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(RoundTicks(-0.3, 0.31, 3), ElementsAre(-0.2, 0, 0.2));
  EXPECT_THAT(RoundTicks(3, 3, 5), ElementsAre(3));
  EXPECT_LE(RoundTicks(1e300, 1.1e300, 6).size(), 12u);
}

TEST(ShapSvgTest, IsWellFormedAndInsideTheFrame) {
  for (const auto& [rows, features] : std::vector<std::pair<size_t, size_t>>{
           {1, 1}, {200, 6}, {50, kMaxChartFeatures}, {30, 100}, {0, 3}}) {
    const std::string svg = ShapSvg({MakeChart(rows, features)});
    ParseXml(svg);
    ExpectInside(svg);
    const size_t shown = std::min(features, kMaxChartFeatures);
    // One more is in the legend.
    EXPECT_EQ(Values(svg, "circle", "cx").size(), rows * shown + 1);
  }
}

TEST(ShapSvgTest, DrawsAtMostSoManyRowsAndSumsTheRest) {
  const std::string svg = ShapSvg({MakeChart(5 * kMaxChartRows, 2)});
  EXPECT_EQ(Values(svg, "circle", "cx").size(), 2 * kMaxChartRows + 1);
  EXPECT_THAT(ShapSvg({MakeChart(3, 40)}), HasSubstr("sum of 10 others"));
}

TEST(ShapSvgTest, PutsSeveralOutputsBelowEachOther) {
  std::vector<ShapChart> charts;
  for (size_t k = 0; k < kMaxCharts + 2; ++k) {
    charts.push_back(MakeChart(1000, 2 + k));
    charts.back().title = absl::StrCat("of class ", k, ".");
  }
  const std::string three = ShapSvg({charts[0], charts[1], charts[2]});
  ParseXml(three);
  ExpectInside(three);
  EXPECT_EQ(Values(three, "circle", "cx").size(), kMaxChartRows / 3 * (2 + 3 + 4) + 3);
  // Each begins where the one above ends: six lines, the space above and that below them.
  EXPECT_THAT(three, HasSubstr("translate(0 0)"));
  EXPECT_THAT(three, HasSubstr("translate(0 266)"));
  EXPECT_THAT(three, HasSubstr("translate(0 532)"));
  EXPECT_EQ(Values(three, "svg", "height"), std::vector<double>{3 * 266});
  const std::string many = ShapSvg(charts);
  ParseXml(many);
  EXPECT_THAT(many, HasSubstr("of class 11."));
  EXPECT_THAT(many, Not(HasSubstr("of class 12.")));
}

TEST(ShapSvgTest, EscapesAndCutsNames) {
  ShapChart chart = MakeChart(10, 2);
  chart.title = "a & b";
  chart.features[0] = "<script>alert('x')</script> and then it goes on and on";
  const std::string svg = ShapSvg({chart});
  ParseXml(svg);
  EXPECT_THAT(svg, Not(HasSubstr("<script")));
  EXPECT_THAT(svg, HasSubstr("…"));
  EXPECT_THAT(svg, HasSubstr("and then it goes on and on</title>"));
}

TEST(ShapSvgTest, PutsHighValuesRedAndPositivePointsToTheRight) {
  ShapChart chart;
  chart.features = {"x"};
  chart.categorical = {false};
  chart.mean_absolute = {1};
  chart.values = {-1, 1};
  chart.feature_values = {0, 5};
  const std::string svg = ShapSvg({chart});
  const std::vector<double> x = Values(svg, "circle", "cx");
  EXPECT_LT(x[0], x[1]);
  EXPECT_LT(svg.find("#1e6ee6\"/>"), svg.find("#e61e46\"/>"));
}

TEST(BarsSvgTest, DrawsNegativeBarsAndWhiskersInside) {
  BarChart chart{"Importances", "loss", {"a", "b<", "c"}, {0.5, -0.2, 0.1}, {0.3, 0.3, 0}};
  const std::string svg = BarsSvg(chart);
  ParseXml(svg);
  ExpectInside(svg);
  EXPECT_THAT(svg, HasSubstr("b&lt;"));
  chart.deviations.clear();
  chart.values = {0, 0, 0};
  ExpectInside(BarsSvg(chart));
}

TEST(CurvesSvgTest, DrawsNumbersAndLevels) {
  CurveChart chart;
  chart.title = "Dependence";
  chart.x_label = "age";
  chart.x = {1, 2, 5};
  chart.series = {{"yes", {0.1, 0.5, 0.2}}, {"no", {0.9, 0.5, 0.8}}};
  chart.individual = {{0, 1, 1}};
  std::string svg = CurvesSvg(chart);
  ParseXml(svg);
  ExpectInside(svg);
  chart.x.clear();
  chart.levels = {"red", "a very long name of a level", "blue"};
  svg = CurvesSvg(chart);
  ParseXml(svg);
  ExpectInside(svg);
  // A constant curve and one of a single point.
  chart.levels = {"red"};
  chart.individual.clear();
  chart.series = {{"yes", {0.5}}};
  ExpectInside(CurvesSvg(chart));
}

}  // namespace
}  // namespace trainyard::cli
