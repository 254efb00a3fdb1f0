#include "core/algorithms/convex_relu/monitor.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/clock.h"

namespace trainyard::convex_relu {
namespace {

constexpr absl::Duration kLeastInterval = absl::Milliseconds(100);

// Share of a solve that is done: gaps shrink geometrically.
double ShareDone(double gap, double target) {
  if (!(gap > 0) || !std::isfinite(gap) || target >= 1) return gap == 0 ? 1 : 0;
  return std::clamp(std::log(std::min(gap, 1.0)) / std::log(std::max(target, 1e-300)), 0.0, 1.0);
}

}  // namespace

std::string ShortNumber(double value) { return absl::StrFormat("%.6g", value); }

void Monitor::BeginFit(int fit, int fits, double lambda, double relative_gap, int64_t iterations) {
  fit_ = fit;
  fits_ = fits;
  part_ = 0;
  target_gap_ = relative_gap;
  iterations_before_ = iterations;
  part_iterations_ = 0;
  if (fits > 1) {
    context_.ReportMetrics(fit, {{"path/lambda", lambda}});
  }
}

void Monitor::BeginRound(int round, double relative_gap, int64_t iterations) {
  fit_ = fits_ + round;
  round_ = round;
  part_ = 0;
  target_gap_ = relative_gap;
  iterations_before_ = iterations;
  part_iterations_ = 0;
}

void Monitor::Searched(double largest_violation, int64_t patterns) {
  step_ = std::max(step_, iterations_before_ + part_iterations_);
  context_.ReportMetrics(step_, {{"search/largest_violation", largest_violation},
                                 {"search/patterns", static_cast<double>(patterns)}});
}

void Monitor::Fitting(const FitProgress& progress) {
  const GatedProgress& solve = progress.current.solve;
  if (progress.part != part_) {
    part_ = progress.part;
    iterations_before_ += part_iterations_;
  }
  part_iterations_ = solve.iterations;
  if (!Due()) return;
  step_ = std::max(step_, iterations_before_ + part_iterations_);
  std::vector<std::pair<std::string, double>> values = {
      {"solver/objective", solve.objective},
      {"solver/loss", solve.smooth},
      {"solver/subgradient_norm_squared", solve.subgradient_norm_squared},
      {"solver/step_size", solve.step},
      {"solver/active_groups", static_cast<double>(solve.active_blocks)},
      {"solver/constraint_violation", progress.current.constraint_violation}};
  if (progress.current.bounded) values.emplace_back("solver/relative_gap", solve.relative_gap);
  context_.ReportMetrics(step_, values);
  const double part =
      (progress.part + ShareDone(solve.relative_gap, target_gap_)) / std::max(progress.parts, 1);
  v1::Progress report;
  report.set_step(round_ >= 0 ? round_ : fits_ > 1 ? fit_ : progress.part);
  report.set_step_count(round_ >= 0 ? rounds_ : fits_ > 1 ? fits_ : progress.parts);
  report.set_unit(round_ >= 0 ? "rounds" : fits_ > 1 ? "fits" : "outputs");
  const double done = (fit_ + part) / (fits_ + rounds_);
  Report("solving", kFitBegin + (kFitEnd - kFitBegin) * done, std::move(report));
}

void Monitor::Quality(const char* set, const std::map<std::string, double>& metrics) {
  std::vector<std::pair<std::string, double>> values;
  for (const auto& [name, value] : metrics)
    values.emplace_back(absl::StrCat(set, "/", name), value);
  context_.ReportMetrics(step_, values);
}

void Monitor::Comparing(const NonconvexProgress& progress) {
  if (!Due()) return;
  v1::Progress report;
  report.set_step(static_cast<int64_t>(progress.run));
  report.set_step_count(static_cast<int64_t>(progress.runs));
  report.set_unit("descents");
  const double part = (static_cast<double>(progress.run) +
                       static_cast<double>(progress.epoch) / std::max(progress.epochs, 1)) /
                      static_cast<double>(std::max<size_t>(progress.runs, 1));
  Report("comparison", kFitEnd + part * (kComparisonEnd - kFitEnd), std::move(report));
}

bool Monitor::Due() {
  const absl::Duration now = Clock::Real().Monotonic();
  if (now - last_report_ < kLeastInterval) return false;
  last_report_ = now;
  return true;
}

void Monitor::Report(const char* phase, double fraction, v1::Progress progress) {
  fraction_ = std::clamp(fraction, fraction_, 1.0);
  progress.set_phase(phase);
  progress.set_fraction(fraction_);
  context_.ReportProgress(progress);
}

}  // namespace trainyard::convex_relu
