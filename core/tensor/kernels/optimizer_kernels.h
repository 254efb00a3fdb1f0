// Steps of optimisers, fused over all parameters.
#pragma once

#include <cstdint>
#include <span>

#include "core/tensor/tensor.h"

namespace trainyard {

// One parameter with its gradient and the optimiser's state, all contiguous and of one shape.
struct OptimizerSlot {
  Tensor value;
  Tensor gradient;
  Tensor first;             // momentum or first moment; undefined where the optimiser has none
  Tensor second;            // second moment; likewise
  double rate_factor = 1;   // of the learning rate
  double weight_decay = 0;  // decoupled for AdamW and Lion, added to the gradient for SGD and Adam
};

struct SgdStep {
  double rate = 0;
  double momentum = 0;  // first = momentum * first + gradient
  bool nesterov = false;
};

struct AdamStep {
  double rate = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  int64_t step = 1;       // from 1, for the bias correction
  bool decoupled = true;  // AdamW
};

struct LionStep {
  double rate = 0;
  double beta1 = 0.9;
  double beta2 = 0.99;
};

// `scale` [1] on the device, of type float64, or undefined (1): a factor of all gradients, so that
// clipping needs no transfer to the host. Where it is 0, or not finite, the whole step is skipped.
class OptimizerKernels {
 public:
  virtual ~OptimizerKernels() = default;
  virtual void Sgd(std::span<const OptimizerSlot> slots, const SgdStep& step,
                   const Tensor& scale) = 0;
  virtual void Adam(std::span<const OptimizerSlot> slots, const AdamStep& step,
                    const Tensor& scale) = 0;
  virtual void Lion(std::span<const OptimizerSlot> slots, const LionStep& step,
                    const Tensor& scale) = 0;
  // norm [1], float64: the root of the sum of squares of all elements of all tensors, in double.
  virtual void GlobalNorm(std::span<const Tensor> tensors, const Tensor& norm) = 0;
  // scale [1], float64: min(1, limit / norm), or 0 where the norm is not finite. A limit of 0
  // clips nothing.
  virtual void ClipScale(const Tensor& norm, double limit, const Tensor& scale) = 0;
  // average = decay * average + (1 - decay) * value, pair by pair.
  virtual void MovingAverage(std::span<const Tensor> values, std::span<const Tensor> averages,
                             double decay) = 0;
};

}  // namespace trainyard
