#include "core/nn/layers/linear.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/nn/layers/initializers.h"
#include "core/nn/ops/matmul.h"

namespace trainyard::nn {

Linear::Linear(ParameterSet& parameters, std::string_view name, int64_t in, int64_t out,
               const LinearOptions& options)
    : weight_(parameters.Add(absl::StrCat(std::string(name), ".weight"), {in, out},
                             options.weight_start.value_or(TorchUniform(in)), /*decays=*/true)),
      bias_(options.bias ? &parameters.Add(absl::StrCat(std::string(name), ".bias"), {out},
                                           options.bias_start.value_or(TorchUniform(in)),
                                           /*decays=*/false)
                         : nullptr),
      activation_(options.activation) {}

Variable Linear::operator()(const Variable& x) const {
  return LinearProduct(x, weight_, bias_ != nullptr ? bias_->variable() : Variable(), activation_);
}

LinearMapFactory DenseMaps() {
  return [](ParameterSet& parameters, std::string_view name, int64_t in, int64_t out,
            const LinearMapOptions& options) -> std::unique_ptr<LinearMap> {
    LinearOptions own;
    static_cast<LinearMapOptions&>(own) = options;
    return std::make_unique<Linear>(parameters, name, in, out, own);
  };
}

}  // namespace trainyard::nn
