#include "core/trees/class_costs.h"

#include <algorithm>
#include <cstddef>

namespace trainyard {
namespace {

// Expected costs that differ by a smaller share count as equal: a tie in whole row counts is one.
constexpr double kTie = 1e-12;

}  // namespace

int LeastCostClass(std::span<const double> probabilities, std::span<const double> costs) {
  if (costs.empty()) {
    return static_cast<int>(std::max_element(probabilities.begin(), probabilities.end()) -
                            probabilities.begin());
  }
  const size_t classes = probabilities.size();
  size_t best = 0;
  double least = 0;
  for (size_t k = 0; k < classes; ++k) {
    double expected = 0;
    for (size_t c = 0; c < classes; ++c) expected += probabilities[c] * costs[c * classes + k];
    if (k > 0 && !(expected < least - kTie * least)) continue;
    best = k;
    least = expected;
  }
  return static_cast<int>(best);
}

}  // namespace trainyard
