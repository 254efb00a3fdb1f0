// Positions: rotary and relative.
#pragma once

#include <cstdint>

#include "core/tensor/tensor.h"

namespace trainyard {

// Which coordinates of a vector of s are rotated together.
enum class RotaryPairing : uint8_t {
  kHalves,     // i and i + s/2
  kNeighbors,  // 2i and 2i + 1
};

struct RotaryArguments {
  // [batch, n, …, s] with n the position's axis (axis 1) and s even; last stride 1. out may be x.
  Tensor x;
  Tensor out;
  // int32 [batch, n] or undefined: then position = first + index along axis 1.
  Tensor positions;
  int64_t first = 0;
  double base = 10000;  // frequencies base^(-i / (s/2))
  RotaryPairing pairing = RotaryPairing::kHalves;
  // Rotates back: the backward pass of the rotation.
  bool inverse = false;
  bool accumulate = false;
};

class PositionKernels {
 public:
  virtual ~PositionKernels() = default;
  virtual void Rotary(const RotaryArguments& arguments) = 0;
  // out [n, d], d even: concat(sin, cos) of (first + i) * base^(-j / (d/2)).
  virtual void Sinusoid(int64_t first, double base, const Tensor& out) = 0;
  // out [n, m] of w [n + m - 1]: out[i, j] = w[i - j + m - 1].
  virtual void Toeplitz(const Tensor& w, const Tensor& out) = 0;
  // dw[i - j + m - 1] += d[b, i, j] summed over b; d [b, n, m].
  virtual void ToeplitzBackward(const Tensor& d, const Tensor& dw) = 0;
};

}  // namespace trainyard
