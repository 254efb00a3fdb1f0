#include "core/nn/layers/convolution.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/nn/layers/initializers.h"
#include "core/nn/ops/convolution.h"

namespace trainyard::nn {

Convolution1d::Convolution1d(ParameterSet& parameters, std::string_view name, int64_t in,
                             int64_t out, int64_t width, Padding padding, bool bias)
    : pad_left_(padding == Padding::kSame ? (width - 1) / 2 : width - 1),
      weight_(parameters.Add(absl::StrCat(std::string(name), ".weight"), {width, in, out},
                             TorchUniform(width * in), /*decays=*/true)),
      bias_(bias ? &parameters.Add(absl::StrCat(std::string(name), ".bias"), {out},
                                   TorchUniform(width * in), /*decays=*/false)
                 : nullptr) {}

Variable Convolution1d::operator()(const Variable& x) const {
  return Convolve1d(x, weight_, bias_ != nullptr ? bias_->variable() : Variable(), pad_left_);
}

}  // namespace trainyard::nn
