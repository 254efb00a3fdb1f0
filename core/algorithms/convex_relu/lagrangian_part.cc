#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/algorithms/convex_relu/certificate.h"
#include "core/algorithms/convex_relu/cone_measures.h"
#include "core/algorithms/convex_relu/cone_state_bytes.h"
#include "core/algorithms/convex_relu/gated_state_bytes.h"
#include "core/algorithms/convex_relu/relu_certificate.h"
#include "core/algorithms/convex_relu/relu_part.h"
#include "core/base/status.h"
#include "core/base/stopwatch.h"

namespace trainyard::convex_relu {
namespace {

// A feasible point may have so much more of the objective before the infeasible one is kept.
constexpr double kRepairShare = 1e-3;
constexpr double kTighter = 0.1;
constexpr double kLeastTolerance = 1e-24;

class LagrangianPart final : public PartSolver {
 public:
  LagrangianPart(const ConeProblem& problem, RowLoss loss, const LagrangianOptions& options,
                 double relative_gap)
      : problem_(problem),
        loss_(std::move(loss)),
        first_options_(options),
        options_(options),
        relative_gap_(relative_gap),
        certifier_(problem.products, problem.rows, problem.patterns, loss_.outputs(),
                   problem.pool) {}

  absl::StatusOr<std::optional<double>> LargestLambda(
      const std::function<absl::Status()>& check) override {
    TY_ASSIGN_OR_RETURN(const double largest, LargestReluLambda(certifier_, loss_, check));
    return largest;
  }

  absl::StatusOr<SolveEnd> Solve(double lambda, double time_seconds,
                                 const PartHooks& hooks) override {
    options_.lambda = lambda;
    options_.time_seconds = time_seconds;
    LagrangianHooks own;
    own.check = hooks.check;
    own.checkpoint = hooks.checkpoint;
    own.report = [&](const LagrangianProgress&) {
      UpdateProgress();
      if (hooks.report) hooks.report(progress_);
    };
    const Stopwatch watch;
    for (;;) {
      TY_ASSIGN_OR_RETURN(const SolveEnd end,
                          SolveByLagrangian(problem_.products, problem_.rows, problem_.patterns,
                                            problem_.pool, loss_, options_, state_, own));
      UpdateProgress();
      TY_RETURN_IF_ERROR(Certify(hooks.check));
      if (end != SolveEnd::kSubgradient || relative_gap_ <= 0) return end;
      if (progress_.solve.relative_gap <= relative_gap_) return SolveEnd::kGap;
      if (options_.tolerance <= kLeastTolerance) return SolveEnd::kStalled;
      options_.tolerance *= kTighter;
      options_.complementarity *= kTighter;
      if (time_seconds > 0) {
        options_.time_seconds = std::max(time_seconds - watch.Seconds(), 1e-9);
      }
    }
  }

  const PartProgress& progress() const override { return progress_; }

  void Restart() override {
    state_.Restart();
    options_ = first_options_;
  }

  void Collect(int first_output, std::vector<FitBlock>& blocks) const override {
    const ConeWeights current = point_.blocks.empty()
                                    ? BlocksOf(state_, loss_.outputs(),
                                               problem_.patterns.patterns(), problem_.rows.stride())
                                    : point_;
    CollectBlocks(current, problem_.rows.features(), first_output, blocks);
  }

  void Save(ByteWriter& writer) const override {
    PutIteration(state_.iteration, writer);
    writer.PutList(state_.multipliers);
    writer.Put(state_.delta);
    writer.Put(state_.tolerance);
    writer.Put(static_cast<uint8_t>(state_.in_window));
    const LagrangianProgress& p = state_.progress;
    for (const double value : {p.objective, p.smooth, p.violation, p.subgradient_norm_squared,
                               p.complementarity, p.delta, p.step}) {
      writer.Put(value);
    }
    for (const int64_t value : {p.iterations, p.backtracks, p.outer_iterations, p.active_blocks}) {
      writer.Put(value);
    }
    writer.Put(options_.tolerance);
    writer.Put(options_.complementarity);
    PutActive(certifier_.active(), writer);
    PutPoint(point_, writer);
    PutProgress(progress_.solve, writer);
    writer.Put(progress_.constraint_violation);
    writer.Put(progress_.greatest_violation);
  }

  void Load(ByteReader& reader) override {
    state_.iteration = TakeIteration<double>(reader);
    state_.multipliers = reader.TakeList<double>();
    state_.delta = reader.Take<double>();
    state_.tolerance = reader.Take<double>();
    state_.in_window = reader.Take<uint8_t>() != 0;
    LagrangianProgress& p = state_.progress;
    for (double* value : {&p.objective, &p.smooth, &p.violation, &p.subgradient_norm_squared,
                          &p.complementarity, &p.delta, &p.step}) {
      *value = reader.Take<double>();
    }
    for (int64_t* value : {&p.iterations, &p.backtracks, &p.outer_iterations, &p.active_blocks}) {
      *value = reader.Take<int64_t>();
    }
    options_.tolerance = reader.Take<double>();
    options_.complementarity = reader.Take<double>();
    std::vector<ActiveRows> active = TakeActive(reader);
    if (active.size() == certifier_.active().size()) certifier_.active() = std::move(active);
    point_ = TakePoint(reader);
    progress_.solve = TakeProgress(reader);
    progress_.constraint_violation = reader.Take<double>();
    progress_.greatest_violation = reader.Take<double>();
  }

 private:
  void UpdateProgress() {
    const LagrangianProgress& from = state_.progress;
    GatedProgress& to = progress_.solve;
    to.objective = from.objective;
    to.smooth = from.smooth;
    to.subgradient_norm_squared = from.subgradient_norm_squared;
    to.step = from.step;
    to.iterations = from.iterations;
    to.backtracks = from.backtracks;
    to.active_blocks = from.active_blocks;
    to.working_patterns = to.alive_patterns = problem_.patterns.patterns();
    // There is no bound before the certificate.
    to.relative_gap = INFINITY;
    progress_.bounded = false;
    progress_.constraint_violation = from.violation;
  }

  // The point, made feasible where that is cheap, with its objective, violation and bound.
  absl::Status Certify(const std::function<absl::Status()>& check) {
    point_ =
        BlocksOf(state_, loss_.outputs(), problem_.patterns.patterns(), problem_.rows.stride());
    ConeWeights repaired = point_;
    ConeObjective value = ObjectiveOf(problem_, loss_, options_.lambda, point_);
    if (ShiftIntoCones(problem_.rows, problem_.patterns, problem_.gates, false, repaired).ok()) {
      const ConeObjective feasible = ObjectiveOf(problem_, loss_, options_.lambda, repaired);
      if (feasible.objective <= value.objective * (1 + kRepairShare)) {
        point_ = std::move(repaired);
        value = feasible;
      }
    }
    std::vector<double> predictions(static_cast<size_t>(loss_.size()));
    std::vector<double> slopes(predictions.size());
    BlockProducts(problem_.rows, problem_.patterns, problem_.pool)
        .Predict(point_, loss_.outputs(), predictions.data());
    loss_.Gradient(predictions.data(), slopes.data());
    TY_ASSIGN_OR_RETURN(const ReluCertifier::Norms norms,
                        certifier_.Evaluate(slopes.data(), options_.lambda, 1, check));
    GatedProgress& solve = progress_.solve;
    solve.objective = value.objective;
    solve.smooth = value.smooth;
    solve.bound = ConeDualBound(loss_, options_.lambda, predictions.data(), norms.largest);
    solve.relative_gap = RelativeGap(solve.objective, solve.bound);
    solve.active_blocks = point_.ActiveBlocks();
    ++solve.certificates;
    progress_.bounded = true;
    MeasureCones(problem_, point_, progress_);
    return absl::OkStatus();
  }

  const ConeProblem problem_;
  const RowLoss loss_;
  const LagrangianOptions first_options_;
  LagrangianOptions options_;  // tolerances as they have been lowered
  const double relative_gap_;
  mutable ReluCertifier certifier_;
  LagrangianState state_;
  ConeWeights point_;  // of the last certificate
  PartProgress progress_;
};

}  // namespace

std::unique_ptr<PartSolver> MakeLagrangianPart(const ConeProblem& problem, RowLoss loss,
                                               const LagrangianOptions& options,
                                               double relative_gap) {
  return std::make_unique<LagrangianPart>(problem, std::move(loss), options, relative_gap);
}

}  // namespace trainyard::convex_relu
