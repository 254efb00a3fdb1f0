// How far a training is.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/base/byte_stream.h"

namespace trainyard::nn {

// What the loop itself remembers, apart from weights and the like.
struct Course {
  int64_t step = 0;
  double weight = 0;    // sum of SummedLoss::weight
  double seconds = 0;   // in steps
  int64_t skipped = 0;  // steps that changed nothing
  int64_t skipped_in_a_row = 0;
  int32_t rollbacks = 0;
  double rate_factor = 1;
  int64_t evaluated_step = -1;
  int64_t evaluated_epoch = 0;
  // Sums since the last report.
  double reported_loss = 0;
  double reported_weight = 0;
  std::vector<std::pair<std::string, double>> reported_parts;
  std::vector<float> step_seconds;  // of the newest kMostStepTimes steps, a ring

  static constexpr int64_t kMostStepTimes = 4096;

  void AddStepTime(double seconds_of_step);
  // Of those that are kept; 0 without any.
  double MedianStepSeconds() const;

  void Save(ByteWriter& writer) const;
  void Load(ByteReader& reader);
};

}  // namespace trainyard::nn
