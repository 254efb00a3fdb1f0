// Softmax and losses over rows.
#pragma once

#include "core/tensor/tensor.h"

namespace trainyard {

// Rows [n, d] whose last stride is 1, float32 or float64.
class LossKernels {
 public:
  virtual ~LossKernels() = default;
  // y = softmax of each row; y may be x.
  virtual void Softmax(const Tensor& x, const Tensor& y) = 0;
  // dx (+)= y * (dy - sum(dy * y)).
  virtual void SoftmaxBackward(const Tensor& y, const Tensor& dy, const Tensor& dx,
                               bool accumulate) = 0;
  virtual void LogSoftmax(const Tensor& x, const Tensor& y) = 0;
  // dx (+)= dy - exp(y) * sum(dy).
  virtual void LogSoftmaxBackward(const Tensor& y, const Tensor& dy, const Tensor& dx,
                                  bool accumulate) = 0;
  // losses [n] = weight * (logsumexp(logits) - logits[target]). Targets are int32 [n]; a target of
  // -1 means no loss for that row: 0, and a gradient of 0. `weights` [n] may be undefined (1).
  // With `gradient_scale` != 0 the logits are overwritten by gradient_scale * weight *
  // (softmax - onehot(target)), so that large vocabularies need no second buffer.
  // Targets outside -1 … d - 1 are the caller's to refuse.
  virtual void CrossEntropy(const Tensor& logits, const Tensor& targets, const Tensor& weights,
                            double gradient_scale, const Tensor& losses) = 0;
};

}  // namespace trainyard
