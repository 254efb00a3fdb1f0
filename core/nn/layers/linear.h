// Dense linear maps.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/nn/layers/linear_map.h"

namespace trainyard::nn {

struct LinearOptions : LinearMapOptions {
  // Uniform in +-1 / sqrt(in) unless given.
  std::optional<Initializer> weight_start;
  std::optional<Initializer> bias_start;
};

// act(x W + b), W: NAME.weight [in, out], b: NAME.bias [out].
class Linear final : public LinearMap {
 public:
  Linear(ParameterSet& parameters, std::string_view name, int64_t in, int64_t out,
         const LinearOptions& options = {});

  Variable operator()(const Variable& x) const override;
  const Parameter& weight() const { return weight_; }

 private:
  const Parameter& weight_;
  const Parameter* const bias_;  // null without one
  const Activation activation_;
};

}  // namespace trainyard::nn
