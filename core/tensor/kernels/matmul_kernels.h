// Matrix products.
#pragma once

#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/tensor.h"

namespace trainyard {

// out = act(alpha * a b + bias) (+ out), for every matrix of a batch; float32 or float64.
struct MatmulArguments {
  // [batch…, m, k], [batch…, k, n], [batch…, m, n] with equal batch dimensions. In a and b one of
  // the last two strides is 1 (a transposed view is as fast as a plain one); in out the last is.
  // Batch strides are free; 0 repeats a matrix.
  Tensor a;
  Tensor b;
  Tensor out;
  double alpha = 1;
  // Adds to `out`. Neither bias nor activation then.
  bool accumulate = false;
  // [n], or undefined.
  Tensor bias;
  Activation activation = Activation::kNone;
  // alpha * a b + bias, of the shape of `out`, where it is wanted for the backward pass.
  Tensor pre_activation;
};

class MatmulKernels {
 public:
  virtual ~MatmulKernels() = default;
  virtual void Matmul(const MatmulArguments& arguments) = 0;
};

}  // namespace trainyard
