// How a training runs.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/nn/optim/optimizer.h"
#include "core/nn/optim/schedule.h"
#include "core/nn/training/all_reduce.h"

namespace trainyard::nn {

// What ends a training; the first that is reached. 0: no such limit; at least one is set.
struct TrainingBudget {
  int64_t steps = 0;
  double epochs = 0;   // passes over the samples
  double weight = 0;   // sum of SummedLoss::weight, for example tokens
  double seconds = 0;  // in steps, without evaluations and checkpoints
};

struct EarlyStopping {
  // Evaluations without a better objective after which the training ends; 0: never.
  int patience = 0;
  // What an objective must fall below the best by to be better.
  double least_gain = 0;
  // Whether the model ends with the weights of the best evaluation.
  bool restore_best = true;
};

// A step whose loss or gradient is not finite changes nothing and is counted.
struct DivergenceRule {
  // So many of them in a row are a divergence.
  int64_t patience = 10;
  // How often the training then goes back to the last state that was good (of an evaluation or
  // `good_state_every` steps) with the learning rate times `rate_factor`; after that it ends with
  // OUT_OF_RANGE.
  int rollbacks = 0;
  double rate_factor = 0.5;
  int64_t good_state_every = 100;
};

struct TrainingOptions {
  TrainingBudget budget;
  int64_t batch = 32;       // samples a step, over all workers
  int64_t micro_batch = 0;  // samples a pass; 0: the worker's share of the batch
  bool shuffled = true;
  uint64_t seed = 0;  // of the order of samples and of dropout
  OptimizerOptions optimizer;
  RateSchedule schedule;
  double clip_norm = 0;        // of the mean gradient, for each clip group; 0: none
  double average_decay = 0;    // of the weights' moving average; 0: none
  int64_t evaluate_every = 0;  // steps; 0: once an epoch
  EarlyStopping early_stopping;
  DivergenceRule divergence;
  int64_t report_every = 10;  // steps between metrics
  absl::Duration checkpoint_every = absl::Seconds(30);
  // What tells the trainings apart whose checkpoints this one may go on from.
  uint64_t fingerprint = 0;
  // What SummedLoss::weight counts: the throughput is `train/NAME_per_second`.
  std::string weight_name = "samples";
  // Where this training lies within the job's progress, and what it is called there.
  double progress_begin = 0;
  double progress_end = 1;
  std::string phase = "training";
  // Null: one worker.
  AllReduce* all_reduce = nullptr;
  Clock* clock = &Clock::Real();
};

// INVALID_ARGUMENT naming the field, its value and the rule.
absl::Status CheckTrainingOptions(const TrainingOptions& options);

}  // namespace trainyard::nn
