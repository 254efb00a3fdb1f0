#include "core/nn/optim/gradient_scaling.h"

#include <algorithm>
#include <cmath>

#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/kernels/optimizer_kernels.h"

namespace trainyard::nn {

bool GradientScales::finite() const {
  return std::ranges::all_of(norms, [](double norm) { return std::isfinite(norm); });
}

double GradientScales::norm() const {
  double sum = 0;
  for (const double norm : norms) sum += norm * norm;
  return std::sqrt(sum);
}

GradientScales ScaleGradients(const ParameterSet& parameters, double divisor, double limit) {
  std::vector<std::vector<Tensor>> groups(1);
  for (const auto& parameter : parameters.all()) {
    const auto group = static_cast<size_t>(parameter->clip_group());
    if (group >= groups.size()) groups.resize(group + 1);
    const Tensor gradient = parameter->grad();
    if (gradient.defined()) groups[group].push_back(gradient);
  }
  Device& device = parameters.device();
  GradientScales result;
  for (const std::vector<Tensor>& gradients : groups) {
    const Tensor norm = Tensor::Empty(device, {1}, DType::kFloat64);
    const Tensor scale = Tensor::Empty(device, {1}, DType::kFloat64);
    device.optimizer().GlobalNorm(gradients, norm);
    // min(1, limit / (norm / divisor)) / divisor.
    device.optimizer().ClipScale(norm, limit * divisor, scale);
    device.elementwise().Affine(scale, 1 / divisor, 0, scale, false);
    result.norms.push_back(norm.Item() / divisor);
    result.scales.push_back(scale);
  }
  return result;
}

}  // namespace trainyard::nn
