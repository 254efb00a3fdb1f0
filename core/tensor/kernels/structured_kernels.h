// Products with structured matrices.
#pragma once

#include "core/tensor/tensor.h"

namespace trainyard {

// Y = X M' + bias with a Monarch matrix M in its general form (Dao et al., section 3, with the
// blocks of layers that are not square):
//   h[k*q + a]  = sum over i of w1[k, a, i] * x[k*p + i]
//   y[u*L + l]  = bias + sum over t of w2[l, u, t] * h[t*L + l]
// w1: [K, q, p], w2: [L, s, r], K*q = L*r. x has `in` <= K*p columns and is taken as followed by
// zeros; y has `out` <= L*s columns, the others are dropped.
struct MonarchArguments {
  Tensor x;     // [n, in], contiguous
  Tensor w1;    // [K, q, p], contiguous
  Tensor w2;    // [L, s, r], contiguous
  Tensor bias;  // [out] or undefined
  Tensor h;     // [n, K*q]: the middle, kept for the backward pass; layout is the device's own
  Tensor y;     // [n, out], contiguous
};

struct MonarchGradients {
  Tensor dy;  // [n, out], contiguous
  Tensor dx;  // [n, in] or undefined
  bool accumulate_dx = false;
  Tensor dw1;  // added to, unless undefined; likewise below
  Tensor dw2;
  Tensor dbias;
};

class StructuredKernels {
 public:
  virtual ~StructuredKernels() = default;
  virtual void Monarch(const MonarchArguments& arguments) = 0;
  // `forward` with the h that Monarch filled in; its y is not read.
  virtual void MonarchBackward(const MonarchArguments& forward,
                               const MonarchGradients& gradients) = 0;
};

}  // namespace trainyard
