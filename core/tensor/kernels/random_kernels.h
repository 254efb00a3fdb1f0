// Random numbers by counters: the same on every device and with any number of threads.
#pragma once

#include <cstdint>

#include "core/tensor/tensor.h"

namespace trainyard {

// Names a stream of Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011). Element i of a tensor is number i of the stream, so two tensors filled from one stream
// share their numbers: every use takes a stream of its own.
struct RandomStream {
  uint64_t seed = 0;
  uint64_t stream = 0;
};

// Contiguous tensors, float32 or float64.
class RandomKernels {
 public:
  virtual ~RandomKernels() = default;
  // low + (high - low) * u, u in [0, 1) with 24 bits.
  virtual void Uniform(RandomStream stream, double low, double high, const Tensor& out) = 0;
  // Normal by Box and Muller from pairs of uniforms.
  virtual void Normal(RandomStream stream, double mean, double deviation, const Tensor& out) = 0;
  // y[i] = u[i] < rate ? 0 : x[i] / (1 - rate) (+ y[i]). The backward pass is the same call on
  // gradients: nothing is stored. y may be x.
  virtual void Dropout(RandomStream stream, double rate, const Tensor& x, const Tensor& y,
                       bool accumulate) = 0;
};

}  // namespace trainyard
