// Layers that normalise.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/nn/parameter.h"
#include "core/nn/variable.h"
#include "core/tensor/kernels/norm_kernels.h"

namespace trainyard::nn {

// Normalises the last dimension, of `width`: NAME.gain, ones at first ([width], or [1] for kScale),
// and for kLayer NAME.bias [width], zeros at first.
class Norm {
 public:
  Norm(ParameterSet& parameters, std::string_view name, NormKind kind, int64_t width,
       double epsilon = 1e-5);

  Variable operator()(const Variable& x) const;

 private:
  const NormKind kind_;
  const double epsilon_;
  const Parameter& gain_;
  const Parameter* const bias_;
};

}  // namespace trainyard::nn
