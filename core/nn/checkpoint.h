// Memory for time: activations that are computed twice.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/nn/random_source.h"
#include "core/nn/variable.h"

namespace trainyard::nn {

using CheckpointedFunction = std::function<Variable(std::span<const Variable> inputs)>;

// Activation recomputation: calls `function` on the inputs without keeping anything but its result,
// and again, recorded, when the backward pass needs what was inside (Chen et al., "Training deep
// nets with sublinear memory cost", 2016). Calls may nest. `function` must give the same result
// both times and outlives the backward pass with all that it refers to; it takes its randomness
// from `random` (may be null), whose state is put back for the second call.
Variable Checkpoint(const CheckpointedFunction& function, std::span<const Variable> inputs,
                    RandomSource* random = nullptr);
inline Variable Checkpoint(const CheckpointedFunction& function, const Variable& input,
                           RandomSource* random = nullptr) {
  return Checkpoint(function, std::span<const Variable>(&input, 1), random);
}

}  // namespace trainyard::nn
