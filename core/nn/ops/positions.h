// Positions: rotary, sinusoidal and relative.
#pragma once

#include <cstdint>

#include "core/nn/variable.h"
#include "core/tensor/kernels/position_kernels.h"

namespace trainyard::nn {

struct RotaryOptions {
  // x [batch, n, heads * s]: every head of s coordinates is rotated alike.
  int heads = 1;
  // int32 [batch, n], or undefined: position = first + index.
  Tensor positions;
  int64_t first = 0;
  double base = 10000;
  RotaryPairing pairing = RotaryPairing::kHalves;
};

// Rotary position embedding (Su et al., "RoFormer", 2021) of x [batch, n, heads * s], s even.
Variable Rotary(const Variable& x, const RotaryOptions& options = {});

// [n, d], d even: concat(sin, cos) of (first + i) * base^(-j / (d/2)). A constant.
Tensor Sinusoid(Device& device, int64_t n, int64_t d, DType type, int64_t first = 0,
                double base = 10000);

// [n, m] of w [n + m - 1]: b[i, j] = w[i - j + m - 1].
Variable ToeplitzBias(const Variable& w, int64_t n, int64_t m);

}  // namespace trainyard::nn
