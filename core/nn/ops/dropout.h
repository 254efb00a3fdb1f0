// Dropout.
#pragma once

#include "core/nn/random_source.h"
#include "core/nn/variable.h"

namespace trainyard::nn {

// Each element is 0 with probability `rate` in [0, 1), else divided by 1 - rate. A rate of 0, or no
// source of random numbers (evaluation), gives x; else one stream of `random` is taken.
Variable Dropout(const Variable& x, double rate, RandomSource* random);

}  // namespace trainyard::nn
