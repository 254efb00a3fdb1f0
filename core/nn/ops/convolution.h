// Convolution along sequences.
#pragma once

#include <cstdint>

#include "core/nn/variable.h"

namespace trainyard::nn {

// y[b, t, o] = bias[o] + sum over k, c of w[k, c, o] x[b, t + k - pad_left, c], x being 0 outside:
// x [batch, length, in], w [width, in, out], bias [out] or undefined, 0 <= pad_left < width.
Variable Convolve1d(const Variable& x, const Variable& w, const Variable& bias, int64_t pad_left);

}  // namespace trainyard::nn
