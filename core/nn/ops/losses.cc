#include "core/nn/ops/losses.h"

#include <vector>

#include "core/nn/ops/arithmetic.h"
#include "core/nn/ops/reductions.h"
#include "core/nn/ops/shapes.h"
#include "core/nn/ops/support.h"
#include "core/nn/ops/unary.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

// Throws unless `x` broadcasts to the shape of the predictions.
void ExpectNoWider(const char* operation, const char* name, const Variable& predictions,
                   const Variable& x) {
  ExpectSameFloating(operation, predictions, x);
  if (BroadcastShapes(operation, predictions.shape(), x.shape()) == predictions.shape()) return;
  ThrowInvalidTensor(operation, ": ", name, " of shape ", x.shape().ToString(),
                     " for predictions of shape ", predictions.shape().ToString());
}

Variable WeightedMean(const Variable& losses, const LossOptions& options) {
  Variable weighted = losses;
  if (options.weights.defined()) {
    ExpectNoWider("loss", "weights", losses, options.weights);
    weighted = losses * Variable(options.weights);
  }
  if (options.divisor == 0) return Mean(weighted);
  return Sum(weighted) / options.divisor;
}

Variable Difference(const char* operation, const Variable& predictions, const Variable& targets) {
  ExpectNoWider(operation, "targets", predictions, targets);
  return predictions - targets;
}

Tensor Levels(const Variable& predictions, std::span<const double> levels) {
  ExpectRankAtLeast("pinball", predictions, 1);
  if (static_cast<int64_t>(levels.size()) != predictions.size(-1)) {
    ThrowInvalidTensor("pinball: ", levels.size(), " levels for predictions of shape ",
                       predictions.shape().ToString());
  }
  for (const double level : levels) {
    if (!(level > 0 && level < 1)) {
      ThrowInvalidTensor("pinball: the level ", level, " is not in (0, 1)");
    }
  }
  const Shape shape{static_cast<int64_t>(levels.size())};
  return Tensor::FromValues(predictions.device(), shape, levels).To(predictions.dtype());
}

}  // namespace

Variable SquaredError(const Variable& predictions, const Variable& targets,
                      const LossOptions& options) {
  return WeightedMean(Square(Difference("squared_error", predictions, targets)), options);
}

Variable AbsoluteError(const Variable& predictions, const Variable& targets,
                       const LossOptions& options) {
  return WeightedMean(Abs(Difference("absolute_error", predictions, targets)), options);
}

// t softplus(-x) + (1 - t) softplus(x): nothing cancels for targets of 0 and 1.
Variable BinaryCrossEntropy(const Variable& logits, const Variable& targets,
                            const LossOptions& options) {
  ExpectNoWider("binary_cross_entropy", "targets", logits, targets);
  return WeightedMean(targets * Softplus(-logits) + (1 - targets) * Softplus(logits), options);
}

Variable PinballLoss(const Variable& predictions, const Variable& targets,
                     std::span<const double> levels, const LossOptions& options) {
  const Variable q = Levels(predictions, levels);
  ExpectSameFloating("pinball", predictions, targets);
  const bool column = targets.rank() == predictions.rank();
  const Variable expanded = column ? targets : Reshape(targets, targets.shape().WithAppended(1));
  const Variable error = -Difference("pinball", predictions, expanded);
  return WeightedMean(Maximum(q * error, (q - 1) * error), options);
}

}  // namespace trainyard::nn
