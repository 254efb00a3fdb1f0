// Everything that the rest of a training depends on, as bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/nn/optim/moving_average.h"
#include "core/nn/optim/optimizer.h"
#include "core/nn/training/best_weights.h"
#include "core/nn/training/course.h"
#include "core/nn/training/data_order.h"
#include "core/nn/training/trainable.h"

namespace trainyard::nn {

// What is saved; all outlive this.
struct TrainingState {
  Trainable& model;
  Course& course;
  DataOrder& order;
  Optimizer& optimizer;
  MovingAverage* average;  // may be null
  BestWeights& best;

  // `good_state`: the state to go back to after a divergence, kept with it.
  std::string Encode(uint64_t fingerprint, std::string_view good_state) const;
  // False, and nothing changed, when the bytes belong to a training of another fingerprint.
  // DATA_LOSS when they are damaged.
  absl::StatusOr<bool> Decode(std::string_view bytes, uint64_t fingerprint,
                              std::string& good_state) const;
};

}  // namespace trainyard::nn
