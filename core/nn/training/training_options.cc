#include "core/nn/training/training_options.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace trainyard::nn {
namespace {

absl::Status Require(bool holds, const char* field, double value, const char* rule) {
  if (holds) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, " is ", value, "; ", rule));
}

absl::Status CheckBudget(const TrainingBudget& budget) {
  TY_RETURN_IF_ERROR(Require(budget.steps >= 0, "budget.steps", static_cast<double>(budget.steps),
                             "it must be at least 0"));
  TY_RETURN_IF_ERROR(
      Require(budget.epochs >= 0, "budget.epochs", budget.epochs, "it must be at least 0"));
  TY_RETURN_IF_ERROR(
      Require(budget.weight >= 0, "budget.weight", budget.weight, "it must be at least 0"));
  TY_RETURN_IF_ERROR(
      Require(budget.seconds >= 0, "budget.seconds", budget.seconds, "it must be at least 0"));
  if (budget.steps > 0 || budget.epochs > 0 || budget.weight > 0 || budget.seconds > 0) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("budget sets no limit; one of its fields must be above 0");
}

absl::Status CheckRates(const TrainingOptions& options) {
  const RateSchedule& schedule = options.schedule;
  TY_RETURN_IF_ERROR(Require(schedule.peak > 0 && std::isfinite(schedule.peak), "schedule.peak",
                             schedule.peak, "it must be above 0"));
  TY_RETURN_IF_ERROR(
      Require(schedule.last >= 0, "schedule.last", schedule.last, "it must be at least 0"));
  TY_RETURN_IF_ERROR(Require(schedule.warmup_share >= 0 && schedule.warmup_share <= 1,
                             "schedule.warmup_share", schedule.warmup_share,
                             "it must be in 0 to 1"));
  TY_RETURN_IF_ERROR(Require(schedule.steps_per_drop >= 1, "schedule.steps_per_drop",
                             static_cast<double>(schedule.steps_per_drop),
                             "it must be at least 1"));
  TY_RETURN_IF_ERROR(Require(options.average_decay >= 0 && options.average_decay < 1,
                             "average_decay", options.average_decay,
                             "it must be at least 0 and below 1"));
  return Require(options.clip_norm >= 0, "clip_norm", options.clip_norm, "it must be at least 0");
}

}  // namespace

absl::Status CheckTrainingOptions(const TrainingOptions& options) {
  TY_RETURN_IF_ERROR(CheckBudget(options.budget));
  TY_RETURN_IF_ERROR(CheckRates(options));
  const int workers = options.all_reduce == nullptr ? 1 : options.all_reduce->workers();
  TY_RETURN_IF_ERROR(Require(options.batch >= workers, "batch", static_cast<double>(options.batch),
                             "it must be at least the number of workers"));
  TY_RETURN_IF_ERROR(Require(options.micro_batch >= 0, "micro_batch",
                             static_cast<double>(options.micro_batch), "it must be at least 0"));
  TY_RETURN_IF_ERROR(Require(options.report_every >= 1, "report_every",
                             static_cast<double>(options.report_every), "it must be at least 1"));
  return Require(options.divergence.patience >= 1, "divergence.patience",
                 static_cast<double>(options.divergence.patience), "it must be at least 1");
}

}  // namespace trainyard::nn
