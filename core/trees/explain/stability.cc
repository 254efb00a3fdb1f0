#include "core/trees/explain/stability.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "core/base/random.h"
#include "core/base/status.h"
#include "core/trees/explain/row_lanes.h"

namespace trainyard {
namespace {

absl::Status CheckSizes(std::span<const std::vector<double>> refits, size_t features) {
  if (refits.size() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("refits is ", refits.size(), "; at least 2 are needed"));
  }
  for (size_t r = 0; r < refits.size(); ++r) {
    const std::vector<double>& values = refits[r];
    if (values.empty() || features == 0 || values.size() % features != 0 ||
        values.size() != refits[0].size()) {
      return absl::InvalidArgumentError(absl::StrCat("refits[", r, "] has ", values.size(),
                                                     " SHAP values; must be rows times ", features,
                                                     " features, the same for all refits"));
    }
    for (const double value : values) {
      if (!std::isfinite(value)) {
        return absl::InvalidArgumentError(
            absl::StrCat("refits[", r, "] holds ", value, "; SHAP values must be finite"));
      }
    }
  }
  return absl::OkStatus();
}

// Rows in the order of a feature's values, equal ones in random order, missing ones last.
std::vector<size_t> OrderByValue(const FeatureColumn& column, int64_t begin, size_t rows) {
  std::vector<size_t> order(rows);
  std::iota(order.begin(), order.end(), size_t{0});
  Rng(0).Shuffle(std::span(order));
  std::vector<double> values(rows);
  for (size_t i = 0; i < rows; ++i) {
    values[i] = ValueAt(column, begin + static_cast<int64_t>(i));
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (std::isnan(values[a])) return false;
    return std::isnan(values[b]) || values[a] < values[b];
  });
  return order;
}

// Variance of `phi` over the rows and the part of it that their order does not explain. `linked[i]`
// says whether places i and i + 1 of the order may be compared.
struct Variances {
  double all = 0;
  double unexplained = 0;
};

Variances VariancesOf(const std::vector<double>& matrix, size_t feature, size_t features,
                      std::span<const size_t> order, std::span<const uint8_t> linked) {
  const auto phi = [&](size_t place) { return matrix[order[place] * features + feature]; };
  const double count = static_cast<double>(order.size());
  double mean = 0;
  for (size_t i = 0; i < order.size(); ++i) mean += phi(i) / count;
  double squares = 0;
  double differences = 0;
  int64_t pairs = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    squares += (phi(i) - mean) * (phi(i) - mean);
    if (i + 1 == order.size() || !linked[i]) continue;
    const double difference = phi(i + 1) - phi(i);
    differences += difference * difference / 2;
    ++pairs;
  }
  if (order.size() < 2) return {};
  return {squares / (count - 1), pairs == 0 ? 0 : differences / static_cast<double>(pairs)};
}

double UnexplainedShare(std::span<const std::vector<double>> refits,
                        std::span<const FeatureColumn> features, int64_t begin, size_t rows) {
  Variances total;
  for (size_t j = 0; j < features.size(); ++j) {
    const std::vector<size_t> order = OrderByValue(features[j], begin, rows);
    std::vector<uint8_t> linked(rows, 1);
    for (size_t i = 0; i + 1 < rows; ++i) {
      const double here = ValueAt(features[j], begin + static_cast<int64_t>(order[i]));
      const double next = ValueAt(features[j], begin + static_cast<int64_t>(order[i + 1]));
      const bool both_missing = std::isnan(here) && std::isnan(next);
      const bool one_missing = std::isnan(here) != std::isnan(next);
      linked[i] = both_missing || (!one_missing && (!features[j].categorical || here == next));
    }
    for (const std::vector<double>& matrix : refits) {
      const Variances own = VariancesOf(matrix, j, features.size(), order, linked);
      total.all += own.all;
      // By chance neighbours may differ more than rows at random do.
      total.unexplained += std::min(own.unexplained, own.all);
    }
  }
  return total.all > 0 ? total.unexplained / total.all : 0;
}

double Ratio(double shrunk, double plain) {
  return plain > 0 ? shrunk / plain : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

absl::StatusOr<ShapStability> MeasureShapStability(std::span<const std::vector<double>> refits,
                                                   std::span<const FeatureColumn> features,
                                                   int64_t begin) {
  TY_RETURN_IF_ERROR(CheckSizes(refits, features.size()));
  const size_t cells = refits[0].size();
  const double count = static_cast<double>(refits.size());
  ShapStability stability;
  for (size_t i = 0; i < cells; ++i) {
    double mean = 0;
    double absolute = 0;
    for (const std::vector<double>& matrix : refits) {
      mean += matrix[i] / count;
      absolute += std::abs(matrix[i]) / count;
    }
    double squares = 0;
    for (const std::vector<double>& matrix : refits) {
      squares += (matrix[i] - mean) * (matrix[i] - mean);
    }
    stability.variance += squares / (count - 1) / static_cast<double>(cells);
    stability.mean_absolute += absolute / static_cast<double>(cells);
  }
  if (stability.mean_absolute > 0) {
    stability.relative_variance =
        stability.variance / (stability.mean_absolute * stability.mean_absolute);
  }
  stability.unexplained_share = UnexplainedShare(refits, features, begin, cells / features.size());
  return stability;
}

absl::StatusOr<ShapStabilityComparison> CompareShapStability(
    std::span<const std::vector<double>> plain, std::span<const std::vector<double>> shrunk,
    std::span<const FeatureColumn> features, int64_t begin) {
  ShapStabilityComparison comparison;
  TY_ASSIGN_OR_RETURN(comparison.plain, MeasureShapStability(plain, features, begin));
  TY_ASSIGN_OR_RETURN(comparison.shrunk, MeasureShapStability(shrunk, features, begin));
  if (plain.size() != shrunk.size() || plain[0].size() != shrunk[0].size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "shrunk has ", shrunk.size(), " refits of ", shrunk[0].size(), " SHAP values, plain ",
        plain.size(), " of ", plain[0].size(), "; they must be equal"));
  }
  comparison.variance_ratio = Ratio(comparison.shrunk.variance, comparison.plain.variance);
  comparison.relative_variance_ratio =
      Ratio(comparison.shrunk.relative_variance, comparison.plain.relative_variance);
  comparison.unexplained_share_ratio =
      Ratio(comparison.shrunk.unexplained_share, comparison.plain.unexplained_share);
  return comparison;
}

}  // namespace trainyard
