// What the owner of a job sees of a training loop.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "core/nn/training/course.h"
#include "core/nn/training/step_runner.h"
#include "core/nn/training/training_options.h"
#include "core/tensor/device.h"
#include "core/training/training_context.h"

namespace trainyard::nn {

// Reports progress at most 20 times a second and metrics every so many steps. A worker of rank
// above 0 reports nothing.
class TrainingMonitor {
 public:
  TrainingMonitor(const TrainingOptions& options, Device& device, TrainingContext& context);

  // After a step. `fraction` of the training is done, of `steps` steps (0: unknown).
  void Step(Course& course, const StepOutcome& outcome, double rate, double fraction,
            int64_t steps);
  void Evaluated(const Course& course, const Evaluation& evaluation);
  void Log(v1::LogLine::Severity severity, const std::string& text);

 private:
  void ReportMetrics(Course& course, const StepOutcome& outcome, double rate);

  const TrainingOptions& options_;
  Device& device_;
  TrainingContext& context_;
  const bool silent_;
  absl::Duration last_progress_ = -absl::InfiniteDuration();
};

}  // namespace trainyard::nn
