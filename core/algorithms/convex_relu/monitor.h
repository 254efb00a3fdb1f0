// What the owner of a job that trains a convex network sees of it while it runs.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "core/algorithms/convex_relu/fit.h"
#include "core/algorithms/convex_relu/nonconvex_training.h"
#include "core/training/training_context.h"

namespace trainyard::convex_relu {

// A number for people.
std::string ShortNumber(double value);

// Turns the solvers' reports into progress and metrics: as they come, but not more than ten times a
// second.
class Monitor {
 public:
  explicit Monitor(TrainingContext& context) : context_(context) {}

  void Preparing() { Report("preparation", 0.0, {}); }
  // Before the fit at one lambda: it is number `fit` of `fits`, `iterations` were made before.
  void BeginFit(int fit, int fits, double lambda, double relative_gap, int64_t iterations);
  // Rounds that may follow the fits.
  void ExpectRounds(int rounds) { rounds_ = rounds; }
  // Before the solve of a round, from 0.
  void BeginRound(int round, double relative_gap, int64_t iterations);
  // After a search, at the solution before it.
  void Searched(double largest_violation, int64_t patterns);
  // Within a fit or a round's solve.
  void Fitting(const FitProgress& progress);
  // Metrics of the network so far, as `SET/NAME`.
  void Quality(const char* set, const std::map<std::string, double>& metrics);
  void Comparing(const NonconvexProgress& progress);
  void Evaluation() { Report("evaluation", kComparisonEnd, {}); }
  void Done() { Report("done", 1.0, {}); }

  // Step of the newest metrics: iterations over all fits.
  int64_t step() const { return step_; }

 private:
  static constexpr double kFitBegin = 0.02;
  static constexpr double kFitEnd = 0.85;
  static constexpr double kComparisonEnd = 0.98;

  void Report(const char* phase, double fraction, v1::Progress progress);
  bool Due();

  TrainingContext& context_;
  double fraction_ = 0;
  absl::Duration last_report_ = -absl::InfiniteDuration();
  int fit_ = 0;
  int fits_ = 1;
  int rounds_ = 0;
  int round_ = -1;  // that is solved
  int part_ = 0;
  double target_gap_ = 1e-6;
  int64_t iterations_before_ = 0;  // of fits and parts that are done
  int64_t part_iterations_ = 0;
  int64_t step_ = 0;
};

}  // namespace trainyard::convex_relu
