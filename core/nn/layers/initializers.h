// How weights begin, by the sizes of a layer.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/nn/parameter.h"

namespace trainyard::nn {

// Normal with standard deviation 1 / sqrt(fan_in): keeps the variance of linear maps.
inline Initializer FanIn(int64_t fan_in) {
  return Initializer::Normal(1 / std::sqrt(static_cast<double>(fan_in)));
}
// Glorot and Bengio, 2010: uniform, or normal, with variance 2 / (fan_in + fan_out).
inline Initializer XavierUniform(int64_t fan_in, int64_t fan_out) {
  return Initializer::Uniform(std::sqrt(6 / static_cast<double>(fan_in + fan_out)));
}
inline Initializer XavierNormal(int64_t fan_in, int64_t fan_out) {
  return Initializer::Normal(std::sqrt(2 / static_cast<double>(fan_in + fan_out)));
}
// He et al., 2015: normal with variance 2 / fan_in, for rectified units.
inline Initializer HeNormal(int64_t fan_in) {
  return Initializer::Normal(std::sqrt(2 / static_cast<double>(fan_in)));
}
// Uniform in +-1 / sqrt(fan_in): what PyTorch gives the weights and biases of its layers.
inline Initializer TorchUniform(int64_t fan_in) {
  return Initializer::Uniform(1 / std::sqrt(static_cast<double>(fan_in)));
}

}  // namespace trainyard::nn
