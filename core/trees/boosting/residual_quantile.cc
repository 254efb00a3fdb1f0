#include "core/trees/boosting/residual_quantile.h"

#include <algorithm>
#include <cmath>

namespace trainyard {
namespace {

// Share of the total within which a weight counts as reaching the level: rounding of the product.
constexpr double kRounding = 1e-12;

}  // namespace

double LowerQuantile(std::span<double> values, double level) {
  if (values.empty()) return 0;
  const double count = static_cast<double>(values.size());
  const double rank = std::ceil(level * count - kRounding * count) - 1;
  const size_t index = static_cast<size_t>(std::clamp(rank, 0.0, count - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(index), values.end());
  return values[index];
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
