// What maps vectors linearly, however its matrix is made.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "core/nn/parameter.h"
#include "core/nn/variable.h"
#include "core/tensor/kernels/elementwise_kernels.h"

namespace trainyard::nn {

class LinearMap {
 public:
  virtual ~LinearMap() = default;
  // act(x M' + bias): x [..., in] to [..., out].
  virtual Variable operator()(const Variable& x) const = 0;
};

// What a layer asks of each of its maps.
struct LinearMapOptions {
  bool bias = true;
  Activation activation = Activation::kNone;
};

// Makes the maps of a layer, so that a model chooses which are dense and which structured.
using LinearMapFactory = std::function<std::unique_ptr<LinearMap>(
    ParameterSet& parameters, std::string_view name, int64_t in, int64_t out,
    const LinearMapOptions& options)>;

// Dense maps, begun as PyTorch begins its own.
LinearMapFactory DenseMaps();

}  // namespace trainyard::nn
