#include "core/algorithms/convex_relu/relu_part.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/algorithms/convex_relu/cone_measures.h"
#include "core/algorithms/convex_relu/cone_state_bytes.h"
#include "core/algorithms/convex_relu/relu_certificate.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

class ReluPart final : public PartSolver {
 public:
  ReluPart(const ConeProblem& problem, RowLoss loss, const ReluOptions& options)
      : problem_(problem), loss_(std::move(loss)), options_(options) {}

  absl::StatusOr<std::optional<double>> LargestLambda(
      const std::function<absl::Status()>& check) override {
    ReluCertifier certifier(problem_.products, problem_.rows, problem_.patterns, loss_.outputs(),
                            problem_.pool);
    TY_ASSIGN_OR_RETURN(const double largest, LargestReluLambda(certifier, loss_, check));
    return largest;
  }

  absl::StatusOr<SolveEnd> Solve(double lambda, double time_seconds,
                                 const PartHooks& hooks) override {
    options_.lambda = lambda;
    options_.time_seconds = time_seconds;
    ReluHooks own;
    own.check = hooks.check;
    own.checkpoint = hooks.checkpoint;
    own.report = [&](const ReluProgress&) {
      UpdateProgress();
      if (hooks.report) hooks.report(progress_);
    };
    TY_ASSIGN_OR_RETURN(const SolveEnd end,
                        SolveRelu(problem_.products, problem_.rows, problem_.patterns,
                                  problem_.pool, loss_, options_, state_, own));
    UpdateProgress();
    MeasureSolution();
    return end;
  }

  const PartProgress& progress() const override { return progress_; }

  void Restart() override { state_.Restart(); }

  void WarmStart(std::span<const FitBlock> blocks) override {
    state_ = ReluState();
    state_.point.stride = problem_.rows.stride();
    std::vector<ConeBlock> places;
    for (const FitBlock& block : blocks)
      places.push_back({block.pattern, block.sign, block.output});
    state_.point.Add(places);
    for (const FitBlock& block : blocks) {
      const auto at = std::lower_bound(state_.point.blocks.begin(), state_.point.blocks.end(),
                                       ConeBlock{block.pattern, block.sign, block.output});
      std::copy(block.weights.begin(), block.weights.end(),
                state_.point.block(static_cast<size_t>(at - state_.point.blocks.begin())));
    }
  }

  void Collect(int first_output, std::vector<FitBlock>& blocks) const override {
    CollectBlocks(state_.point, problem_.rows.features(), first_output, blocks);
  }

  void Save(ByteWriter& writer) const override {
    PutPoint(state_.point, writer);
    const ReluProgress& p = state_.progress;
    for (const double value : {p.objective, p.smooth, p.bound, p.relative_gap}) writer.Put(value);
    for (const int64_t value : {p.iterations, p.newton_steps, p.certificates, p.projections,
                                p.active_blocks, p.working_blocks}) {
      writer.Put(value);
    }
    writer.Put(state_.inner_gap);
    writer.Put(static_cast<uint8_t>(state_.in_working_set));
    writer.Put(static_cast<int32_t>(state_.without_progress));
    writer.Put(state_.least_gap);
    PutActive(state_.certificate_active, writer);
    // What finished parts have been measured at.
    writer.Put(progress_.solve.subgradient_norm_squared);
    writer.Put(progress_.constraint_violation);
    writer.Put(progress_.greatest_violation);
  }

  void Load(ByteReader& reader) override {
    state_.point = TakePoint(reader);
    ReluProgress& p = state_.progress;
    for (double* value : {&p.objective, &p.smooth, &p.bound, &p.relative_gap}) {
      *value = reader.Take<double>();
    }
    for (int64_t* value : {&p.iterations, &p.newton_steps, &p.certificates, &p.projections,
                           &p.active_blocks, &p.working_blocks}) {
      *value = reader.Take<int64_t>();
    }
    state_.inner_gap = reader.Take<double>();
    state_.in_working_set = reader.Take<uint8_t>() != 0;
    state_.without_progress = reader.Take<int32_t>();
    state_.least_gap = reader.Take<double>();
    state_.certificate_active = TakeActive(reader);
    UpdateProgress();
    progress_.solve.subgradient_norm_squared = reader.Take<double>();
    progress_.constraint_violation = reader.Take<double>();
    progress_.greatest_violation = reader.Take<double>();
  }

 private:
  void UpdateProgress() {
    const ReluProgress& from = state_.progress;
    GatedProgress& to = progress_.solve;
    to.objective = from.objective;
    to.smooth = from.smooth;
    to.bound = from.bound;
    to.relative_gap = from.relative_gap;
    to.iterations = from.iterations;
    to.active_blocks = from.active_blocks;
    to.working_patterns = from.working_blocks;
    to.alive_patterns = problem_.patterns.patterns();
    to.certificates = from.certificates;
  }

  void MeasureSolution() {
    MeasureCones(problem_, state_.point, progress_);
    progress_.solve.subgradient_norm_squared =
        ProximalResidual(problem_, loss_, options_.lambda, state_.point);
  }

  const ConeProblem problem_;
  const RowLoss loss_;
  ReluOptions options_;
  ReluState state_;
  PartProgress progress_;
};

}  // namespace

std::unique_ptr<PartSolver> MakeReluPart(const ConeProblem& problem, RowLoss loss,
                                         const ReluOptions& options) {
  return std::make_unique<ReluPart>(problem, std::move(loss), options);
}

}  // namespace trainyard::convex_relu
