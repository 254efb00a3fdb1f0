#include "core/nn/training/training_monitor.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace trainyard::nn {
namespace {

constexpr absl::Duration kLeastInterval = absl::Milliseconds(50);

}  // namespace

TrainingMonitor::TrainingMonitor(const TrainingOptions& options, Device& device,
                                 TrainingContext& context)
    : options_(options),
      device_(device),
      context_(context),
      silent_(options.all_reduce != nullptr && options.all_reduce->rank() > 0) {}

void TrainingMonitor::Step(Course& course, const StepOutcome& outcome, double rate, double fraction,
                           int64_t steps) {
  if (outcome.finite) {
    course.reported_loss += outcome.loss;
    course.reported_weight += outcome.weight;
    if (course.reported_parts.size() != outcome.parts.size()) course.reported_parts.clear();
    for (size_t i = 0; i < outcome.parts.size(); ++i) {
      if (i == course.reported_parts.size()) {
        course.reported_parts.push_back(outcome.parts[i]);
      } else {
        course.reported_parts[i].second += outcome.parts[i].second;
      }
    }
  }
  if (course.step % options_.report_every == 0) ReportMetrics(course, outcome, rate);
  const absl::Duration now = options_.clock->Monotonic();
  if (silent_ || now - last_progress_ < kLeastInterval) return;
  last_progress_ = now;
  v1::Progress progress;
  progress.set_phase(options_.phase);
  progress.set_fraction(options_.progress_begin +
                        fraction * (options_.progress_end - options_.progress_begin));
  progress.set_step(course.step);
  progress.set_step_count(steps);
  progress.set_unit("steps");
  context_.ReportProgress(progress);
}

void TrainingMonitor::ReportMetrics(Course& course, const StepOutcome& outcome, double rate) {
  std::vector<std::pair<std::string, double>> values;
  if (course.reported_weight > 0) {
    values.emplace_back("train/loss", course.reported_loss / course.reported_weight);
    for (const auto& [name, value] : course.reported_parts) {
      values.emplace_back(absl::StrCat("train/", name), value / course.reported_weight);
    }
  }
  values.emplace_back("train/learning_rate", rate);
  values.emplace_back("train/gradient_norm", outcome.gradient.norm());
  if (course.seconds > 0) {
    values.emplace_back(absl::StrCat("train/", options_.weight_name, "_per_second"),
                        course.weight / course.seconds);
    values.emplace_back("train/steps_per_second",
                        static_cast<double>(course.step) / course.seconds);
  }
  values.emplace_back("train/peak_memory_bytes",
                      static_cast<double>(device_.memory().statistics().peak_live_bytes));
  if (course.skipped > 0) {
    values.emplace_back("train/skipped_steps", static_cast<double>(course.skipped));
  }
  course.reported_loss = 0;
  course.reported_weight = 0;
  course.reported_parts.clear();
  if (!silent_) context_.ReportMetrics(course.step, values);
}

void TrainingMonitor::Evaluated(const Course& course, const Evaluation& evaluation) {
  if (!silent_ && !evaluation.metrics.empty()) {
    context_.ReportMetrics(course.step, evaluation.metrics);
  }
}

void TrainingMonitor::Log(v1::LogLine::Severity severity, const std::string& text) {
  if (!silent_) context_.Log(severity, text);
}

}  // namespace trainyard::nn
