// Normalisation of rows.
#pragma once

#include <cstdint>

#include "core/tensor/tensor.h"

namespace trainyard {

enum class NormKind : uint8_t {
  kLayer,  // (x - mean) / sqrt(variance + eps) * gain + bias, gain and bias [d]
  kRms,    // x / sqrt(mean(x^2) + eps) * gain, gain [d]
  kScale,  // x / sqrt(mean(x^2) + eps) * gain, gain [1]
};

// Rows [n, d], contiguous, float32 or float64; statistics [n] in the same type, accumulated in
// double or in lanes of floats of a fixed order.
class NormKernels {
 public:
  virtual ~NormKernels() = default;
  // `bias` may be undefined. `mean` (kLayer only) and `rstd` (1 / the root) are stored for the
  // backward pass, unless undefined.
  virtual void Normalize(NormKind kind, const Tensor& x, const Tensor& gain, const Tensor& bias,
                         double epsilon, const Tensor& y, const Tensor& mean,
                         const Tensor& rstd) = 0;
  // dx (+)= …, unless undefined; dgain, dbias += …, unless undefined (they are always added to).
  virtual void NormalizeBackward(NormKind kind, const Tensor& x, const Tensor& gain,
                                 const Tensor& mean, const Tensor& rstd, const Tensor& dy,
                                 const Tensor& dx, bool accumulate_dx, const Tensor& dgain,
                                 const Tensor& dbias) = 0;
};

}  // namespace trainyard
