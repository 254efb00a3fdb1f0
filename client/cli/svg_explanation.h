// Charts of explanations.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace trainyard::cli {

// SHAP values of one output for a number of rows.
struct ShapChart {
  std::string title;
  std::string unit;  // what the values are measured in, for the axis
  std::vector<std::string> features;
  std::vector<bool> categorical;
  std::vector<double> values;          // [row][feature]
  std::vector<double> feature_values;  // likewise; NaN where missing
  std::vector<double> mean_absolute;   // by feature, over all rows (those drawn may be fewer)
};

// Features that are drawn, those with the greatest mean |SHAP| first; the rest is summed up.
inline constexpr size_t kMaxChartFeatures = 30;
// Rows that are drawn, evenly taken; of several charts together.
inline constexpr size_t kMaxChartRows = 800;
// Charts that are drawn.
inline constexpr size_t kMaxCharts = 12;

// Charts below each other, the first kMaxCharts. In each one row of points per feature, coloured by
// the feature's value from low to high (grey: missing, or a category), beside bars of the mean
// |SHAP|.
std::string ShapSvg(const std::vector<ShapChart>& charts);

// One bar per feature, greatest first.
struct BarChart {
  std::string title;
  std::string unit;
  std::vector<std::string> names;
  std::vector<double> values;
  std::vector<double> deviations;  // drawn as whiskers; may be empty
};
std::string BarsSvg(const BarChart& chart);

// Curves over the values of a feature.
struct CurveChart {
  std::string title;
  std::string x_label;
  std::string y_label;
  // Grid points: numbers, or else levels at even steps.
  std::vector<double> x;
  std::vector<std::string> levels;
  struct Series {
    std::string name;
    std::vector<double> y;
  };
  std::vector<Series> series;
  // Curves of single rows, drawn thin behind the series.
  std::vector<std::vector<double>> individual;
};
std::string CurvesSvg(const CurveChart& chart);

}  // namespace trainyard::cli
