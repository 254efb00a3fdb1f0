// How the scores of a model depend on one or two features.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/trees/explain/importance.h"

namespace trainyard {

// Values of a feature at which to look, of its first `rows` rows: all distinct ones in ascending
// order where there are at most `most` (>= 2), else `most` quantiles at even steps from `lowest` to
// `highest` in [0, 1], interpolated and distinct. Categories: all level codes. Missing values do
// not count; empty where all are missing.
std::vector<double> FeatureGrid(const FeatureColumn& column, int64_t rows, int most,
                                double lowest = 0, double highest = 1);

// One feature and the values that it is given. For a category the values are level codes; NaN and
// codes outside of the levels are missing values.
struct GridAxis {
  int feature = 0;
  std::span<const double> values;
};

struct DependenceOptions {
  int64_t rows = 0;  // of the columns, from 0; at least 1
  int outputs = 1;   // scores per row
  // Weights of the rows in the mean; empty for 1. Not all 0.
  std::span<const double> weights;
  // Whether to keep the curves of the single rows (individual conditional expectation).
  bool individual = false;
};

struct Dependence {
  // Mean score over the rows at each grid point, [point][output]; with two axes point =
  // first * (values of the second) + second.
  std::vector<double> mean;
  // Scores of the single rows, [row][point][output]; empty unless asked for.
  std::vector<double> individual;
};

// Partial dependence (Friedman 2001) over one or two axes: at each grid point all rows get its
// values in the axes' features, and the scores are averaged. With a single row this is a slice
// through the model at that row, which for two axes draws its decision boundary. O(points * rows)
// scores. Returns the status of `stop`.
absl::StatusOr<Dependence> PartialDependence(std::span<const FeatureColumn> features,
                                             std::span<const GridAxis> axes,
                                             const DependenceOptions& options,
                                             const ScoreFunction& score, ThreadPool& pool,
                                             StopToken& stop);

// The other expectation: raw scores when only the axes' features are known and every other split
// is taken with the shares N(child) / N(parent), that is v({axes}) of the path-dependent game, not
// an average over rows. [point][output]. `features` says which are categories; O(nodes) per point.
std::vector<double> PathDependence(const TreeEnsemble& ensemble,
                                   std::span<const FeatureColumn> features,
                                   std::span<const GridAxis> axes);

}  // namespace trainyard
