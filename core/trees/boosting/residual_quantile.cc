#include "core/trees/boosting/residual_quantile.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>

namespace trainyard {
namespace {

// Share of the total within which a weight counts as reaching the level: rounding of the product.
constexpr double kRounding = 1e-12;

// The `rank`-th smallest of many values: a sorted sample gives bounds around it, and all values
// between them are picked out without branches (Floyd and Rivest 1975). Where the sample misleads,
// or the values are few, a plain selection.
double Select(std::span<double> values, size_t rank) {
  constexpr size_t kMany = 2048;
  constexpr size_t kSample = 512;
  constexpr size_t kMargin = 48;  // over four standard deviations of a rank in the sample
  if (values.size() >= kMany) {
    std::array<double, kSample> sample;
    for (size_t i = 0; i < kSample; ++i) sample[i] = values[i * values.size() / kSample];
    std::sort(sample.begin(), sample.end());
    const size_t middle = rank * kSample / values.size();
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const double low = middle > kMargin ? sample[middle - kMargin] : -kInfinity;
    const double high = middle + kMargin < kSample ? sample[middle + kMargin] : kInfinity;
    const auto between = std::make_unique_for_overwrite<double[]>(values.size() + 1);
    size_t count = 0;
    size_t below = 0;
    for (const double value : values) {
      between[count] = value;
      count += static_cast<size_t>((value >= low) & (value <= high));
      below += static_cast<size_t>(value < low);
    }
    if (rank >= below && rank < below + count) {
      double* const wanted = between.get() + (rank - below);
      std::nth_element(between.get(), wanted, between.get() + count);
      return *wanted;
    }
  }
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(rank), values.end());
  return values[rank];
}

}  // namespace

double LowerQuantile(std::span<double> values, double level) {
  if (values.empty()) return 0;
  const double count = static_cast<double>(values.size());
  const double rank = std::ceil(level * count - kRounding * count) - 1;
  return Select(values, static_cast<size_t>(std::clamp(rank, 0.0, count - 1)));
}

double LowerQuantile(std::span<WeightedValue> values, double level) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end(), [](const WeightedValue& a, const WeightedValue& b) {
    return a.value != b.value ? a.value < b.value : a.weight < b.weight;
  });
  double total = 0;
  for (const WeightedValue& v : values) total += v.weight;
  const double wanted = (level - kRounding) * total;
  double below = 0;
  for (const WeightedValue& v : values) {
    below += v.weight;
    if (below >= wanted) return v.value;
  }
  return values.back().value;
}

}  // namespace trainyard
