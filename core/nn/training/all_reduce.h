// Sums over the workers of one training.
#pragma once

#include <span>

#include "absl/status/status.h"
#include "core/tensor/tensor.h"

namespace trainyard::nn {

// One worker's end. All workers make the same calls in the same order; each call returns when all
// have made it, with the same bits everywhere: sums in order of rank, so that the result does not
// depend on who came first. ABORTED when a worker has left.
class AllReduce {
 public:
  virtual ~AllReduce() = default;
  virtual int rank() const = 0;  // from 0
  virtual int workers() const = 0;

  // Each element of each tensor becomes its sum over all workers. Tensors are contiguous, of
  // float32 or float64, and of the same shapes everywhere.
  virtual absl::Status Sum(std::span<const Tensor> tensors) = 0;
  virtual absl::Status Sum(std::span<double> values) = 0;

  // This worker makes no more calls: calls of others end with ABORTED, now and later.
  virtual void Leave() = 0;
};

}  // namespace trainyard::nn
