#include "core/nn/training/training_loop.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/nn/optim/moving_average.h"
#include "core/nn/training/best_weights.h"
#include "core/nn/training/course.h"
#include "core/nn/training/data_order.h"
#include "core/nn/training/step_runner.h"
#include "core/nn/training/training_monitor.h"
#include "core/nn/training/training_state.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

class Loop {
 public:
  Loop(Trainable& model, const TrainingOptions& options, TrainingContext& context)
      : model_(model),
        options_(options),
        context_(context),
        order_(model.samples(), options.seed, options.shuffled),
        optimizer_(model.parameters(), options.optimizer),
        average_(options.average_decay > 0
                     ? std::make_unique<MovingAverage>(model.parameters(), options.average_decay)
                     : nullptr),
        best_(model.parameters(), options.early_stopping),
        state_{model, course_, order_, optimizer_, average_.get(), best_},
        runner_(model, options, [&context] { return context.CheckCancelled(); }),
        monitor_(options, model.parameters().device(), context) {}

  absl::StatusOr<TrainingSummary> Run() {
    TY_RETURN_IF_ERROR(LoadCheckpoint());
    last_save_ = options_.clock->Monotonic();
    while (!End().has_value()) {
      TY_RETURN_IF_ERROR(context_.CheckCancelled());
      TY_RETURN_IF_ERROR(model_.BeforeStep(course_.step, Fraction()));
      TY_RETURN_IF_ERROR(Step());
      if (EvaluationDue()) TY_RETURN_IF_ERROR(Evaluate());
      KeepGoodState();
      TY_RETURN_IF_ERROR(SaveWhenDue());
    }
    const TrainingEnd end = *End();
    if (course_.evaluated_step != course_.step) TY_RETURN_IF_ERROR(Evaluate());
    if (average_ != nullptr) average_->Swap();
    TY_RETURN_IF_ERROR(best_.Restore());
    return Summary(end);
  }

 private:
  // The four limits and how much of each is used.
  struct Use {
    double used;
    double limit;
    TrainingEnd end;
  };
  std::array<Use, 4> Uses() const {
    const TrainingBudget& budget = options_.budget;
    return {{{static_cast<double>(course_.step), static_cast<double>(budget.steps),
              TrainingEnd::kSteps},
             {static_cast<double>(order_.taken()),
              budget.epochs * static_cast<double>(order_.count()), TrainingEnd::kEpochs},
             {course_.weight, budget.weight, TrainingEnd::kWeight},
             {course_.seconds, budget.seconds, TrainingEnd::kSeconds}}};
  }

  std::optional<TrainingEnd> End() const {
    if (best_.exhausted()) return TrainingEnd::kNoBetter;
    for (const Use& use : Uses()) {
      if (use.limit > 0 && use.used >= use.limit) return use.end;
    }
    return std::nullopt;
  }

  double Fraction() const {
    double fraction = 0;
    for (const Use& use : Uses()) {
      if (use.limit > 0) fraction = std::max(fraction, use.used / use.limit);
    }
    return std::min(fraction, 1.0);
  }

  // Steps of the whole training, as far as steps and epochs limit it; 0 where they do not.
  int64_t PlannedSteps() const {
    int64_t steps = options_.budget.steps;
    if (options_.budget.epochs > 0) {
      const double samples = options_.budget.epochs * static_cast<double>(order_.count());
      const auto by_epochs =
          static_cast<int64_t>(std::ceil(samples / static_cast<double>(options_.batch)));
      steps = steps > 0 ? std::min(steps, by_epochs) : by_epochs;
    }
    return steps;
  }

  double Rate() const {
    RateSchedule schedule = options_.schedule;
    const int64_t planned = PlannedSteps();
    if (planned > 0) {
      return course_.rate_factor * schedule.RateAt(course_.step, static_cast<double>(planned));
    }
    if (course_.step < schedule.warmup_steps) {
      return course_.rate_factor * schedule.RateAt(course_.step, 0);
    }
    // Progress by other measures than steps, in millionths.
    schedule.warmup_steps = 0;
    return course_.rate_factor *
           schedule.RateAt(static_cast<int64_t>(Fraction() * 1e6), /*total_steps=*/1e6);
  }

  absl::Status Step() {
    const absl::Duration start = options_.clock->Monotonic();
    const double before = course_.seconds;
    const auto elapsed = [&] { return absl::ToDoubleSeconds(options_.clock->Monotonic() - start); };
    const double rate = Rate();
    TY_ASSIGN_OR_RETURN(
        const StepOutcome outcome,
        runner_.Run(course_.step, order_.Take(options_.batch), [&] { return before + elapsed(); }));
    if (outcome.finite) {
      optimizer_.Step(rate, outcome.gradient.scales);
      if (average_ != nullptr) average_->Update();
      course_.skipped_in_a_row = 0;
    } else {
      ++course_.skipped;
      ++course_.skipped_in_a_row;
    }
    model_.parameters().device().Synchronize();
    course_.seconds = options_.all_reduce == nullptr ? before + elapsed() : outcome.seconds;
    course_.AddStepTime(course_.seconds - before);
    course_.weight += outcome.weight;
    ++course_.step;
    monitor_.Step(course_, outcome, rate, Fraction(), PlannedSteps());
    if (course_.skipped_in_a_row < options_.divergence.patience) return absl::OkStatus();
    return Diverged(outcome);
  }

  absl::Status Diverged(const StepOutcome& outcome) {
    const std::string what =
        absl::StrCat(options_.divergence.patience, " steps in a row up to step ", course_.step,
                     " had a loss of ", outcome.loss / outcome.weight, " and a gradient of norm ",
                     outcome.gradient.norm());
    if (course_.rollbacks >= options_.divergence.rollbacks || good_state_.empty()) {
      return absl::OutOfRangeError(
          absl::StrCat("the training diverged: ", what,
                       "; lower the learning rate, clip gradients, or scale the data"));
    }
    const int32_t rollbacks = course_.rollbacks + 1;
    const int64_t skipped = course_.skipped;
    const double rate_factor = course_.rate_factor * options_.divergence.rate_factor;
    std::string nothing;
    TY_RETURN_IF_ERROR(state_.Decode(good_state_, options_.fingerprint, nothing).status());
    course_.rollbacks = rollbacks;
    course_.skipped = skipped;
    course_.skipped_in_a_row = 0;
    course_.rate_factor = rate_factor;
    monitor_.Log(v1::LogLine::SEVERITY_WARNING,
                 absl::StrCat(what, "; the training goes on from step ", course_.step, " with ",
                              rate_factor, " times the learning rate"));
    return absl::OkStatus();
  }

  bool EvaluationDue() const {
    if (options_.evaluate_every > 0) return course_.step % options_.evaluate_every == 0;
    return order_.epoch() > course_.evaluated_epoch;
  }

  absl::Status Evaluate() {
    const NoGradScope no_grad;
    const AveragedScope averaged(average_.get());
    Evaluation evaluation;
    if (options_.all_reduce == nullptr || options_.all_reduce->rank() == 0) {
      TY_ASSIGN_OR_RETURN(evaluation,
                          model_.Evaluate([this] { return context_.CheckCancelled(); }));
    }
    if (options_.all_reduce != nullptr) {
      TY_RETURN_IF_ERROR(options_.all_reduce->Sum(std::span(&evaluation.objective, 1)));
    }
    course_.evaluated_step = course_.step;
    course_.evaluated_epoch = order_.epoch();
    best_.Offer(course_.step, evaluation.objective);
    monitor_.Evaluated(course_, evaluation);
    return absl::OkStatus();
  }

  void KeepGoodState() {
    if (options_.divergence.rollbacks == 0 || course_.skipped_in_a_row > 0) return;
    const int64_t every = std::max<int64_t>(options_.divergence.good_state_every, 1);
    if (course_.step % every != 0 && course_.evaluated_step != course_.step) return;
    good_state_ = state_.Encode(options_.fingerprint, "");
  }

  absl::Status SaveWhenDue() {
    const absl::Duration now = options_.clock->Monotonic();
    if (now - last_save_ < options_.checkpoint_every) return absl::OkStatus();
    if (options_.all_reduce == nullptr || options_.all_reduce->rank() == 0) {
      TY_RETURN_IF_ERROR(
          context_.SaveCheckpoint(course_.step, state_.Encode(options_.fingerprint, good_state_)));
    }
    last_save_ = options_.clock->Monotonic();
    return absl::OkStatus();
  }

  absl::Status LoadCheckpoint() {
    TY_ASSIGN_OR_RETURN(const std::optional<std::string> bytes, context_.LoadCheckpoint());
    if (!bytes.has_value()) {
      if (options_.divergence.rollbacks > 0) good_state_ = state_.Encode(options_.fingerprint, "");
      return absl::OkStatus();
    }
    TY_ASSIGN_OR_RETURN(const bool known, state_.Decode(*bytes, options_.fingerprint, good_state_));
    if (known) {
      monitor_.Log(v1::LogLine::SEVERITY_INFO,
                   absl::StrCat("the training goes on from step ", course_.step));
    } else {
      monitor_.Log(v1::LogLine::SEVERITY_WARNING,
                   "the checkpoint does not belong to this job; the training starts afresh");
    }
    return absl::OkStatus();
  }

  TrainingSummary Summary(TrainingEnd end) const {
    TrainingSummary summary;
    summary.end = end;
    summary.steps = course_.step;
    summary.epochs = static_cast<double>(order_.taken()) / static_cast<double>(order_.count());
    summary.weight = course_.weight;
    summary.seconds = course_.seconds;
    summary.best_objective = best_.objective();
    summary.best_step = best_.step();
    summary.skipped_steps = course_.skipped;
    summary.rollbacks = course_.rollbacks;
    summary.median_step_seconds = course_.MedianStepSeconds();
    summary.peak_memory_bytes =
        static_cast<int64_t>(model_.parameters().device().memory().statistics().peak_live_bytes);
    return summary;
  }

  Trainable& model_;
  const TrainingOptions& options_;
  TrainingContext& context_;
  Course course_;
  DataOrder order_;
  Optimizer optimizer_;
  const std::unique_ptr<MovingAverage> average_;
  BestWeights best_;
  const TrainingState state_;
  StepRunner runner_;
  TrainingMonitor monitor_;
  std::string good_state_;  // empty: none yet
  absl::Duration last_save_ = absl::ZeroDuration();
};

}  // namespace

absl::StatusOr<TrainingSummary> RunTraining(Trainable& model, const TrainingOptions& options,
                                            TrainingContext& context) {
  absl::StatusOr<TrainingSummary> result =
      CatchTensorErrors([&]() -> absl::StatusOr<TrainingSummary> {
        TY_RETURN_IF_ERROR(CheckTrainingOptions(options));
        if (model.samples() < 1) return absl::InvalidArgumentError("there are no training samples");
        return Loop(model, options, context).Run();
      });
  // Gradients are of no use to whoever has the model.
  for (const auto& parameter : model.parameters().all()) parameter->variable().ReleaseGradient();
  if (!result.ok() && options.all_reduce != nullptr) options.all_reduce->Leave();
  return result;
}

}  // namespace trainyard::nn
