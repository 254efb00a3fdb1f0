// The class to predict where errors cost differently.
#pragma once

#include <span>

namespace trainyard {

// The class of least expected cost sum_c probabilities[c] * costs[c][k], where `costs` is [true
// class][predicted class] row-major, or empty for 1 off the diagonal: then the most probable class.
// Among equals, up to rounding where there are costs, the lowest class. O(classes^2).
int LeastCostClass(std::span<const double> probabilities, std::span<const double> costs);

}  // namespace trainyard
