// The algorithm `convex_relu`: see README.md.
#pragma once

#include "core/algorithms/algorithm.h"

namespace trainyard {

const Algorithm& ConvexReluAlgorithm();

}  // namespace trainyard
