#include "core/nn/layers/norm.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/nn/ops/norms.h"

namespace trainyard::nn {

Norm::Norm(ParameterSet& parameters, std::string_view name, NormKind kind, int64_t width,
           double epsilon)
    : kind_(kind),
      epsilon_(epsilon),
      gain_(parameters.Add(absl::StrCat(std::string(name), ".gain"),
                           {kind == NormKind::kScale ? 1 : width}, Initializer::Constant(1),
                           /*decays=*/false)),
      bias_(kind == NormKind::kLayer
                ? &parameters.Add(absl::StrCat(std::string(name), ".bias"), {width},
                                  Initializer::Constant(0), /*decays=*/false)
                : nullptr) {}

Variable Norm::operator()(const Variable& x) const {
  return Normalize(kind_, x, gain_, bias_ != nullptr ? bias_->variable() : Variable(), epsilon_);
}

}  // namespace trainyard::nn
