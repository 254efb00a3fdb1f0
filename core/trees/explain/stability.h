// Whether shrinkage steadies explanations: the experiment of Agarwal et al. (ICML 2022) that
// compares SHAP values over models refitted on perturbed training data.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/trees/tree.h"

namespace trainyard {

// Of R refits with SHAP values phi_r(i, j) of the same rows i and features j (of one output):
struct ShapStability {
  // Mean over rows and features of the variance of phi over the refits (divisor R - 1).
  double variance = 0;
  // Mean of |phi| over refits, rows and features.
  double mean_absolute = 0;
  // variance / mean_absolute^2: free of the scale that shrinkage itself takes away. 0 where all phi
  // are 0.
  double relative_variance = 0;
  // Share of the variance of phi over the rows that the feature's own value does not explain, as
  // interactions and noise do: the sum over refits and features of the estimated unexplained
  // variances over that of the variances. The unexplained variance of one feature is estimated
  // without a model of the dependence: rows are sorted by x_j, equal values in random but fixed
  // order, and half the mean square of the differences of phi between neighbours is taken (von
  // Neumann 1941); it is exact for equal values and errs by O(1 / rows) for a dependence of bounded
  // variation. Missing values are a value of their own; categories count as sets of equal values,
  // each compared within itself. 0 where nothing varies.
  double unexplained_share = 0;
};

// `refits` holds one matrix [row][feature] per refit, R >= 2; the values of the rows are those of
// `features` from row `begin`. INVALID_ARGUMENT when there are fewer refits, or a matrix is empty,
// not a multiple of the number of features, of another size than the first, or not finite.
absl::StatusOr<ShapStability> MeasureShapStability(std::span<const std::vector<double>> refits,
                                                   std::span<const FeatureColumn> features,
                                                   int64_t begin);

// Both sides and the ratios shrunk / plain (NaN where plain is 0): below 1, shrinkage steadies.
struct ShapStabilityComparison {
  ShapStability plain;
  ShapStability shrunk;
  double variance_ratio = 0;
  double relative_variance_ratio = 0;
  double unexplained_share_ratio = 0;
};

// Errors as above, for either side, and when the two differ in their sizes.
absl::StatusOr<ShapStabilityComparison> CompareShapStability(
    std::span<const std::vector<double>> plain, std::span<const std::vector<double>> shrunk,
    std::span<const FeatureColumn> features, int64_t begin);

}  // namespace trainyard
