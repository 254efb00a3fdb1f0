// The loop that all neural models are trained by.
#pragma once

#include <cstdint>
#include <limits>

#include "absl/status/statusor.h"
#include "core/nn/training/trainable.h"
#include "core/nn/training/training_options.h"
#include "core/training/training_context.h"

namespace trainyard::nn {

enum class TrainingEnd : uint8_t {
  kSteps,  // the four limits of the budget
  kEpochs,
  kWeight,
  kSeconds,
  kNoBetter,  // early stopping
};

struct TrainingSummary {
  TrainingEnd end = TrainingEnd::kSteps;
  int64_t steps = 0;
  double epochs = 0;
  double weight = 0;
  double seconds = 0;  // in steps
  // Of the best evaluation; infinite and -1 without one.
  double best_objective = std::numeric_limits<double>::infinity();
  int64_t best_step = -1;
  int64_t skipped_steps = 0;
  int rollbacks = 0;
  double median_step_seconds = 0;
  int64_t peak_memory_bytes = 0;  // of tensors on the device
};

// Trains `model`: batches in a seeded order, gradients, one step of the optimiser, evaluations,
// checkpoints, until the budget is used up or evaluations no longer get better. The model ends with
// the weights of the best evaluation (EarlyStopping::restore_best), else the averaged ones where
// there is an average, else the last ones. Goes on from the context's checkpoint where that belongs
// to the same training (TrainingOptions::fingerprint), with the same bits as a run that was never
// interrupted (limits and rates by seconds excepted).
//
// With several workers each calls this with a model, a device and a context of its own, all alike;
// all contexts give the same checkpoint, and rank 0 evaluates, reports and saves.
//
// Errors: INVALID_ARGUMENT for options; CANCELLED; OUT_OF_RANGE when the training diverges;
// RESOURCE_EXHAUSTED when memory runs out; ABORTED when another worker ended; DATA_LOSS for a
// damaged checkpoint; those of the model.
absl::StatusOr<TrainingSummary> RunTraining(Trainable& model, const TrainingOptions& options,
                                            TrainingContext& context);

}  // namespace trainyard::nn
