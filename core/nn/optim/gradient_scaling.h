// Means of gradients, and clipping by their norm.
#pragma once

#include <vector>

#include "core/nn/parameter.h"
#include "core/tensor/tensor.h"

namespace trainyard::nn {

// What Optimizer::Step multiplies gradients by, for each clip group.
struct GradientScales {
  std::vector<Tensor> scales;  // [1], float64, on the device
  std::vector<double> norms;   // of gradient / divisor, before clipping; on the host
  bool finite() const;
  // Over all groups.
  double norm() const;
};

// The scale that divides gradients by `divisor` and, where the norm of a group exceeds `limit` (0:
// no limit), shrinks the group to it. Waits for the device.
GradientScales ScaleGradients(const ParameterSet& parameters, double divisor, double limit);

}  // namespace trainyard::nn
