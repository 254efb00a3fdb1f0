// Losses of values.
#pragma once

#include <span>

#include "core/nn/variable.h"

namespace trainyard::nn {

// Which elements count and how much.
struct LossOptions {
  // Of a shape that broadcasts to that of the predictions, or undefined: 1 for each.
  Tensor weights;
  // The loss is the weighted sum over all elements divided by this; 0: by the number of elements.
  double divisor = 0;
};

// Scalars. Predictions and targets have shapes that broadcast to that of the predictions.
Variable SquaredError(const Variable& predictions, const Variable& targets,
                      const LossOptions& options = {});
Variable AbsoluteError(const Variable& predictions, const Variable& targets,
                       const LossOptions& options = {});
// -(t log sigmoid(x) + (1 - t) log(1 - sigmoid(x))), targets t in [0, 1].
Variable BinaryCrossEntropy(const Variable& logits, const Variable& targets,
                            const LossOptions& options = {});
// max(q e, (q - 1) e) with e = target - prediction: predictions [..., k] are quantiles of the k
// `levels` q, each in (0, 1); targets [...] or [..., 1].
Variable PinballLoss(const Variable& predictions, const Variable& targets,
                     std::span<const double> levels, const LossOptions& options = {});

}  // namespace trainyard::nn
