// One step of a training: gradients of a batch.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/nn/optim/gradient_scaling.h"
#include "core/nn/training/trainable.h"
#include "core/nn/training/training_options.h"

namespace trainyard::nn {

struct StepOutcome {
  double loss = 0;     // sum over all micro-batches of all workers
  double weight = 0;   // likewise
  double seconds = 0;  // as rank 0 gave them
  std::vector<std::pair<std::string, double>> parts;
  GradientScales gradient;  // of the mean, clipped
  bool finite = false;      // loss and gradient
};

// Computes this worker's share of each batch, micro-batch by micro-batch, and sums over workers.
class StepRunner {
 public:
  // `check` is asked before every micro-batch; its status is passed up.
  StepRunner(Trainable& model, const TrainingOptions& options, std::function<absl::Status()> check);

  // Gradients of the model's parameters become the sums over the whole batch. `seconds` is told to
  // the other workers.
  absl::StatusOr<StepOutcome> Run(int64_t step, std::span<const int64_t> batch,
                                  const std::function<double()>& seconds);

 private:
  absl::Status RunMicroBatches(int64_t step, std::span<const int64_t> batch, StepOutcome& outcome);
  absl::Status SumOverWorkers(const std::function<double()>& seconds, StepOutcome& outcome);
  absl::Status SumGradients();

  Trainable& model_;
  const TrainingOptions& options_;
  const std::function<absl::Status()> check_;
  RandomSource random_;
};

}  // namespace trainyard::nn
