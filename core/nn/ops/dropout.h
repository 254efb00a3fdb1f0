// Dropout.
#pragma once

#include "core/nn/random_source.h"
#include "core/nn/variable.h"

namespace trainyard::nn {

// Each element is 0 with probability `rate` in [0, 1), else divided by 1 - rate; a rate of 0 gives
// x. Takes one stream of `random` where the rate is above 0. Evaluation leaves it out.
Variable Dropout(const Variable& x, double rate, RandomSource& random);

}  // namespace trainyard::nn
