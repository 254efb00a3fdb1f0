#include "core/algorithms/convex_relu/nonconvex_training.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <new>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/base/random.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kMostReserved = 1 << 16;
constexpr absl::Duration kCheckEvery = absl::Milliseconds(5);

absl::Status CheckOptions(const NonconvexOptions& options) {
  const auto require = [](bool holds, const char* name, double value, const char* rule) {
    return holds ? absl::OkStatus()
                 : absl::InvalidArgumentError(absl::StrCat(name, " is ", value, "; ", rule));
  };
  TY_RETURN_IF_ERROR(require(options.neurons >= 1 && options.neurons <= (1 << 30), "neurons",
                             static_cast<double>(options.neurons), "1 to 2^30"));
  TY_RETURN_IF_ERROR(require(options.penalty >= 0 && std::isfinite(options.penalty), "penalty",
                             options.penalty, "a finite number of at least 0"));
  TY_RETURN_IF_ERROR(require(options.epochs >= 1, "epochs", options.epochs, "at least 1"));
  TY_RETURN_IF_ERROR(require(options.batch_fraction > 0 && options.batch_fraction <= 1,
                             "batch_fraction", options.batch_fraction, "above 0, at most 1"));
  TY_RETURN_IF_ERROR(
      require(options.decay_epochs >= 0, "decay_epochs", options.decay_epochs, "at least 0"));
  TY_RETURN_IF_ERROR(require(options.decay > 0 && options.decay <= 1, "decay", options.decay,
                             "above 0, at most 1"));
  TY_RETURN_IF_ERROR(require(options.initial_scale > 0 && std::isfinite(options.initial_scale),
                             "initial_scale", options.initial_scale, "above 0"));
  TY_RETURN_IF_ERROR(
      require(options.record_epochs >= 1, "record_epochs", options.record_epochs, "at least 1"));
  TY_RETURN_IF_ERROR(require(options.divergence_factor > 1, "divergence_factor",
                             options.divergence_factor, "above 1"));
  for (const OptimizerTrial& trial : options.trials) {
    const OptimizerSettings& settings = trial.settings;
    for (const auto& [name, value] :
         {std::pair("momentum", settings.momentum), std::pair("first_decay", settings.first_decay),
          std::pair("second_decay", settings.second_decay)}) {
      TY_RETURN_IF_ERROR(require(value >= 0 && value < 1, name, value, "at least 0, below 1"));
    }
    TY_RETURN_IF_ERROR(require(settings.denominator_term > 0, "denominator_term",
                               settings.denominator_term, "above 0"));
    for (const double step : trial.steps) {
      TY_RETURN_IF_ERROR(
          require(step > 0 && std::isfinite(step), "step", step, "a finite number above 0"));
    }
  }
  return absl::OkStatus();
}

// Passes the hooks' calls on, one at a time, and stops every run after the first error.
class Hooks {
 public:
  explicit Hooks(const NonconvexHooks& hooks) : hooks_(hooks) {}

  absl::Status Check() {
    if (stopped_.load(std::memory_order_relaxed)) return absl::CancelledError("another run ended");
    if (hooks_.check == nullptr) return absl::OkStatus();
    const MutexLock lock(&mutex_);
    const absl::Status status = hooks_.check();
    Keep(status);
    return status;
  }

  // Ends all runs unless `status` is OK.
  void Fail(const absl::Status& status) {
    const MutexLock lock(&mutex_);
    Keep(status);
  }

  void Report(const NonconvexProgress& progress) {
    if (hooks_.progress == nullptr) return;
    const MutexLock lock(&mutex_);
    hooks_.progress(progress);
  }

  absl::StatusOr<std::vector<double>> Metrics(const NetworkWeights<float>& weights,
                                              const WorkCheck& check) const {
    if (hooks_.metrics == nullptr) return std::vector<double>();
    return hooks_.metrics(weights, check);
  }

  absl::Status status() {
    const MutexLock lock(&mutex_);
    return status_;
  }

 private:
  void Keep(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (status.ok() || !status_.ok()) return;
    status_ = status;
    stopped_.store(true, std::memory_order_relaxed);
  }

  const NonconvexHooks& hooks_;
  Mutex mutex_;
  std::atomic<bool> stopped_{false};
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

absl::Status DrawUniform(PaddedMatrix<float>& matrix, double bound, Rng& random,
                         const WorkCheck& check) {
  // The padding too: a run that diverged leaves numbers there that are not finite.
  std::fill_n(matrix.data(), matrix.rows() * matrix.stride(), 0.0F);
  for (int64_t row = 0; row < matrix.rows(); ++row) {
    TY_RETURN_IF_ERROR(check());
    for (int column = 0; column < matrix.columns(); ++column) {
      matrix.row(row)[column] = static_cast<float>(bound * (2 * random.NextDouble() - 1));
    }
  }
  return absl::OkStatus();
}

bool UsesAdam(const NonconvexOptions& options) {
  return std::any_of(options.trials.begin(), options.trials.end(), [](const OptimizerTrial& trial) {
    return trial.settings.kind == OptimizerKind::kAdam;
  });
}

// The loss of zero weights, whatever the network.
absl::StatusOr<double> ZeroObjective(const NetworkData& data, const WorkCheck& check) {
  NetworkPass<double> pass(data, nullptr, 1);
  std::vector<int64_t> rows(static_cast<size_t>(data.features->rows()));
  std::iota(rows.begin(), rows.end(), 0);
  return pass.Loss(NetworkWeights<double>(1, data.features->columns(), data.outputs), rows, check);
}

// What one thread needs for its runs.
class Trainer {
 public:
  Trainer(const NetworkData& data, const GateMask* mask, int64_t neurons,
          const NonconvexOptions& options, double zero_objective, Hooks& hooks)
      : data_(data),
        options_(options),
        hooks_(hooks),
        pass_(data, mask, neurons),
        double_pass_(data, mask, neurons),
        neurons_(neurons),
        rows_(static_cast<size_t>(data.features->rows())),
        zero_objective_(zero_objective) {}

  // Takes the memory of the weights and all that is as large.
  absl::Status Allocate();
  // Fills in a run of which trial, step and seed are set, and that has room for what is kept.
  absl::Status Train(size_t index, size_t runs, NonconvexRun& run);

 private:
  absl::Status Check();
  absl::Status TrainEpoch(int epoch, NonconvexRun& run);
  absl::Status Record(int epoch, size_t index, size_t runs, NonconvexRun& run);
  absl::Status Finish(NonconvexRun& run);
  absl::StatusOr<double> ExactObjective();
  bool Diverges(double objective) const {
    return !(objective <= options_.divergence_factor * std::max(zero_objective_, first_objective_));
  }

  const NetworkData& data_;
  const NonconvexOptions& options_;
  Hooks& hooks_;
  NetworkPass<float> pass_;
  NetworkPass<double> double_pass_;
  const int64_t neurons_;
  NetworkOptimizer optimizer_;
  NetworkWeights<float> weights_;
  NetworkWeights<float> gradient_;
  NetworkWeights<double> double_weights_;
  std::vector<int64_t> rows_;
  const WorkCheck check_ = [this] { return Check(); };
  absl::Duration checked_ = -absl::InfiniteDuration();
  const double zero_objective_;
  double first_objective_ = 0;  // of this run
};

absl::Status Trainer::Allocate() {
  const int features = data_.features->columns();
  TY_RETURN_IF_ERROR(
      optimizer_.Allocate(neurons_, features, data_.outputs, UsesAdam(options_), check_));
  weights_ = NetworkWeights<float>(neurons_, features, data_.outputs);
  TY_RETURN_IF_ERROR(check_());
  gradient_ = NetworkWeights<float>(neurons_, features, data_.outputs);
  TY_RETURN_IF_ERROR(check_());
  double_weights_ = NetworkWeights<double>(neurons_, features, data_.outputs);
  return check_();
}

absl::Status Trainer::Check() {
  const absl::Duration now = Clock::Real().Monotonic();
  if (now - checked_ < kCheckEvery) return absl::OkStatus();
  checked_ = now;
  return hooks_.Check();
}

absl::Status Trainer::Train(size_t index, size_t runs, NonconvexRun& run) {
  Rng random(run.seed);
  for (PaddedMatrix<float>* layer : {&weights_.first, &weights_.second}) {
    const double bound = options_.initial_scale / std::sqrt(layer->columns());
    TY_RETURN_IF_ERROR(DrawUniform(*layer, bound, random, check_));
  }
  TY_RETURN_IF_ERROR(optimizer_.Reset(options_.trials[run.trial].settings, check_));
  TY_RETURN_IF_ERROR(Record(0, index, runs, run));
  for (int epoch = 1; epoch <= options_.epochs && !run.diverged; ++epoch) {
    TY_RETURN_IF_ERROR(TrainEpoch(epoch, run));
    if (run.diverged || epoch % options_.record_epochs == 0 || epoch == options_.epochs) {
      TY_RETURN_IF_ERROR(Record(epoch, index, runs, run));
    }
  }
  return Finish(run);
}

absl::Status Trainer::TrainEpoch(int epoch, NonconvexRun& run) {
  const absl::Duration start = Clock::Real().Monotonic();
  std::iota(rows_.begin(), rows_.end(), 0);
  Rng random(run.seed, static_cast<uint64_t>(epoch));
  random.Shuffle(std::span(rows_));
  const int halvings = options_.decay_epochs == 0 ? 0 : (epoch - 1) / options_.decay_epochs;
  const double step = run.step * std::pow(options_.decay, halvings);
  const auto batch = static_cast<size_t>(std::max<int64_t>(
      1, std::llround(options_.batch_fraction * static_cast<double>(rows_.size()))));
  for (size_t begin = 0; begin < rows_.size() && !run.diverged; begin += batch) {
    const auto part =
        std::span<const int64_t>(rows_).subspan(begin, std::min(batch, rows_.size() - begin));
    TY_ASSIGN_OR_RETURN(const double loss,
                        pass_.LossAndGradient(weights_, part, gradient_, check_));
    run.diverged = !std::isfinite(loss);
    TY_RETURN_IF_ERROR(optimizer_.Step(step, options_.penalty, gradient_, weights_, check_));
  }
  run.seconds += absl::ToDoubleSeconds(Clock::Real().Monotonic() - start);
  return absl::OkStatus();
}

absl::Status Trainer::Record(int epoch, size_t index, size_t runs, NonconvexRun& run) {
  std::iota(rows_.begin(), rows_.end(), 0);
  TY_ASSIGN_OR_RETURN(const double loss, pass_.Loss(weights_, rows_, check_));
  const double objective = loss + options_.penalty / 2 * SquaredNorm(weights_);
  if (epoch == 0) first_objective_ = objective;
  run.diverged = run.diverged || Diverges(objective);
  TY_ASSIGN_OR_RETURN(std::vector<double> metrics, hooks_.Metrics(weights_, check_));
  run.history.push_back({.epoch = epoch,
                         .objective = objective,
                         .seconds = run.seconds,
                         .metrics = std::move(metrics)});
  hooks_.Report({.run = index,
                 .runs = runs,
                 .epoch = epoch,
                 .epochs = options_.epochs,
                 .objective = objective});
  return absl::OkStatus();
}

absl::StatusOr<double> Trainer::ExactObjective() {
  std::copy_n(weights_.first.data(), weights_.first.rows() * weights_.first.stride(),
              double_weights_.first.data());
  TY_RETURN_IF_ERROR(check_());
  std::copy_n(weights_.second.data(), weights_.second.rows() * weights_.second.stride(),
              double_weights_.second.data());
  std::iota(rows_.begin(), rows_.end(), 0);
  TY_ASSIGN_OR_RETURN(const double loss, double_pass_.Loss(double_weights_, rows_, check_));
  return loss + options_.penalty / 2 * SquaredNorm(double_weights_);
}

absl::Status Trainer::Finish(NonconvexRun& run) {
  run.objective = kInfinity;
  if (!run.diverged) {
    TY_ASSIGN_OR_RETURN(run.objective, ExactObjective());
  }
  if (options_.keep_weights) run.weights.CopyFrom(weights_);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<NonconvexRun>> PlanRuns(const NetworkData& data, int64_t neurons,
                                                   const NonconvexOptions& options,
                                                   const WorkCheck& check) {
  std::vector<NonconvexRun> runs;
  for (size_t trial = 0; trial < options.trials.size(); ++trial) {
    for (const double step : options.trials[trial].steps) {
      for (const uint64_t seed : options.seeds) {
        TY_RETURN_IF_ERROR(check());
        NonconvexRun& run = runs.emplace_back();
        run.trial = trial;
        run.step = step;
        run.seed = seed;
        run.history.reserve(
            static_cast<size_t>(std::min(options.epochs / options.record_epochs, kMostReserved)) +
            2);
        if (options.keep_weights) {
          run.weights = NetworkWeights<float>(neurons, data.features->columns(), data.outputs);
        }
      }
    }
  }
  return runs;
}

}  // namespace

absl::StatusOr<std::vector<NonconvexRun>> TrainNonconvex(const NetworkData& data,
                                                         const PaddedMatrix<float>* gates,
                                                         const NonconvexOptions& options,
                                                         const NonconvexHooks& hooks,
                                                         ThreadPool& pool) {
  TY_RETURN_IF_ERROR(CheckNetworkData(data));
  TY_RETURN_IF_ERROR(CheckOptions(options));
  if (gates != nullptr && (gates->columns() != data.features->columns() || gates->rows() < 1)) {
    return absl::InvalidArgumentError(absl::StrCat("gates: ", gates->rows(), " of ",
                                                   gates->columns(), " numbers for ",
                                                   data.features->columns(), " features"));
  }
  Hooks shared(hooks);
  const WorkCheck check = [&shared] { return shared.Check(); };
  std::optional<GateMask> mask;
  if (gates != nullptr) {
    TY_ASSIGN_OR_RETURN(mask, GateMask::Make(*data.features, *gates, check, pool));
  }
  TY_ASSIGN_OR_RETURN(const double zero_objective, ZeroObjective(data, check));

  const int64_t neurons = gates == nullptr ? options.neurons : gates->rows();
  TY_ASSIGN_OR_RETURN(std::vector<NonconvexRun> runs, PlanRuns(data, neurons, options, check));
  std::vector<std::unique_ptr<Trainer>> trainers(static_cast<size_t>(pool.threads()));
  for (std::unique_ptr<Trainer>& trainer : trainers) {
    trainer = std::make_unique<Trainer>(data, mask.has_value() ? &*mask : nullptr, neurons, options,
                                        zero_objective, shared);
    TY_RETURN_IF_ERROR(trainer->Allocate());
  }
  pool.Run(static_cast<int64_t>(runs.size()), [&](int64_t index, int thread) {
    const auto position = static_cast<size_t>(index);
    try {
      shared.Fail(
          trainers[static_cast<size_t>(thread)]->Train(position, runs.size(), runs[position]));
    } catch (const std::bad_alloc&) {
      shared.Fail(absl::ResourceExhaustedError("memory ran out while training a network"));
    }
  });
  TY_RETURN_IF_ERROR(shared.status());
  return runs;
}

absl::StatusOr<NonconvexPredictor> NonconvexPredictor::Make(const PaddedMatrix<float>& features,
                                                            const PaddedMatrix<float>* gates,
                                                            const WorkCheck& check,
                                                            ThreadPool& pool) {
  if (gates == nullptr) return NonconvexPredictor(features, std::nullopt);
  TY_ASSIGN_OR_RETURN(GateMask mask, GateMask::Make(features, *gates, check, pool));
  return NonconvexPredictor(features, std::move(mask));
}

absl::StatusOr<std::vector<float>> NonconvexPredictor::Predict(const NetworkWeights<float>& weights,
                                                               const WorkCheck& check) const {
  const auto outputs = static_cast<size_t>(weights.second.rows());
  const auto rows = static_cast<size_t>(features_->rows());
  const NetworkData data = {.features = features_, .outputs = static_cast<int>(outputs)};
  NetworkPass<float> pass(data, mask_.has_value() ? &*mask_ : nullptr, weights.first.rows());
  std::vector<int64_t> all(rows);
  std::iota(all.begin(), all.end(), 0);
  std::vector<float> by_row(rows * outputs);
  TY_RETURN_IF_ERROR(pass.Predict(weights, all, by_row, check));
  std::vector<float> predictions(rows * outputs);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t output = 0; output < outputs; ++output) {
      predictions[output * rows + row] = by_row[row * outputs + output];
    }
  }
  return predictions;
}

std::vector<StepSummary> SummarizeSteps(std::span<const NonconvexRun> runs) {
  std::vector<StepSummary> summaries;
  for (const NonconvexRun& run : runs) {
    if (summaries.empty() || summaries.back().trial != run.trial ||
        summaries.back().step != run.step) {
      summaries.push_back(
          {.trial = run.trial, .step = run.step, .least = kInfinity, .greatest = -kInfinity});
    }
    StepSummary& summary = summaries.back();
    ++summary.runs;
    summary.diverged += run.diverged ? 1 : 0;
    summary.mean += run.objective;
    summary.least = std::min(summary.least, run.objective);
    summary.greatest = std::max(summary.greatest, run.objective);
    summary.seconds += run.seconds;
  }
  for (StepSummary& summary : summaries) {
    summary.mean /= summary.runs;
    summary.seconds /= summary.runs;
    summary.spread =
        std::isfinite(summary.mean) ? (summary.greatest - summary.least) / summary.mean : kInfinity;
  }
  return summaries;
}

std::vector<StepSummary> BestSteps(std::span<const StepSummary> steps) {
  std::vector<StepSummary> best;
  for (const StepSummary& step : steps) {
    if (best.empty() || best.back().trial != step.trial) {
      best.push_back(step);
    } else if (step.mean < best.back().mean) {
      best.back() = step;
    }
  }
  return best;
}

}  // namespace trainyard::convex_relu
