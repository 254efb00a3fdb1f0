// Matrix products.
#pragma once

#include "core/nn/variable.h"
#include "core/tensor/kernels/elementwise_kernels.h"

namespace trainyard::nn {

struct MatmulOptions {
  bool transpose_a = false;  // of the last two dimensions
  bool transpose_b = false;
  double scale = 1;
};

// scale * op(a) op(b) for every matrix of a batch: [..., m, k] by [..., k, n]. Leading dimensions
// are broadcast by NumPy's rule.
Variable Matmul(const Variable& a, const Variable& b, const MatmulOptions& options = {});

// act(x W + b): x [..., in], weight [in, out], bias [out] or undefined. The gradients of weight and
// bias are written straight into those of the parameters.
Variable LinearProduct(const Variable& x, const Variable& weight, const Variable& bias,
                       Activation activation = Activation::kNone);

}  // namespace trainyard::nn
