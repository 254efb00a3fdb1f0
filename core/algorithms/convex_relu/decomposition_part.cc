#include <algorithm>
#include <utility>
#include <vector>

#include "core/algorithms/convex_relu/certificate.h"
#include "core/algorithms/convex_relu/cone_measures.h"
#include "core/algorithms/convex_relu/cone_state_bytes.h"
#include "core/algorithms/convex_relu/gated_state_bytes.h"
#include "core/algorithms/convex_relu/relu_part.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

class DecompositionPart final : public PartSolver {
 public:
  DecompositionPart(const ConeProblem& problem, RowLoss loss, const GatedOptions& options,
                    const DecompositionOptions& decomposition)
      : problem_(problem),
        loss_(std::move(loss)),
        options_(options),
        decomposition_(decomposition) {}

  absl::StatusOr<std::optional<double>> LargestLambda(
      const std::function<absl::Status()>& check) override {
    const double largest = convex_relu::LargestLambda(problem_.products, loss_);
    if (check) TY_RETURN_IF_ERROR(check());
    return largest;
  }

  absl::StatusOr<SolveEnd> Solve(double lambda, double time_seconds,
                                 const PartHooks& hooks) override {
    options_.lambda = lambda;
    options_.time_seconds = time_seconds;
    point_ = ConeWeights();
    GatedHooks own;
    own.check = hooks.check;
    own.checkpoint = hooks.checkpoint;
    own.report = [&](const GatedProgress& progress) {
      progress_.solve = progress;
      if (hooks.report) hooks.report(progress_);
    };
    TY_ASSIGN_OR_RETURN(const SolveEnd end,
                        SolveGated(problem_.products, loss_, options_, gated_, own));
    progress_.solve = gated_.progress;
    progress_.gated_objective = gated_.progress.objective;
    TY_RETURN_IF_ERROR(Decompose(hooks.check));
    return end;
  }

  const PartProgress& progress() const override { return progress_; }

  void Restart() override { gated_.Restart(); }

  void Collect(int first_output, std::vector<FitBlock>& blocks) const override {
    CollectBlocks(point_, problem_.rows.features(), first_output, blocks);
  }

  void Save(ByteWriter& writer) const override {
    PutState(gated_, writer);
    PutPoint(point_, writer);
    PutProgress(progress_.solve, writer);
    writer.Put(progress_.constraint_violation);
    writer.Put(progress_.greatest_violation);
    writer.Put(progress_.gated_objective.value_or(-1));
    writer.Put(progress_.norm_ratio.value_or(-1));
  }

  void Load(ByteReader& reader) override {
    gated_ = TakeGatedState<double>(reader);
    point_ = TakePoint(reader);
    progress_.solve = TakeProgress(reader);
    progress_.constraint_violation = reader.Take<double>();
    progress_.greatest_violation = reader.Take<double>();
    const double objective = reader.Take<double>();
    const double ratio = reader.Take<double>();
    if (objective >= 0) progress_.gated_objective = objective;
    if (ratio >= 0) progress_.norm_ratio = ratio;
  }

 private:
  absl::Status Decompose(const std::function<absl::Status()>& check) {
    TY_ASSIGN_OR_RETURN(
        Decomposition found,
        DecomposeIntoCones(problem_.rows, problem_.patterns, problem_.gates, problem_.pool,
                           gated_.patterns, gated_.weights, decomposition_, check));
    point_ = std::move(found.point);
    // The approximate pairs violate their cones a little; where a gate cannot mend that, the
    // violation is reported.
    if (decomposition_.method == DecompositionMethod::kApproximate) {
      ConeWeights repaired = point_;
      if (ShiftIntoCones(problem_.rows, problem_.patterns, problem_.gates, true, repaired).ok()) {
        point_ = std::move(repaired);
      }
    }
    progress_.norm_ratio = found.norm_ratio;
    const ConeObjective value = ObjectiveOf(problem_, loss_, options_.lambda, point_);
    GatedProgress& solve = progress_.solve;
    solve.objective = value.objective;
    solve.smooth = value.smooth;
    solve.relative_gap = RelativeGap(solve.objective, solve.bound);
    solve.active_blocks = point_.ActiveBlocks();
    MeasureCones(problem_, point_, progress_);
    solve.subgradient_norm_squared = ProximalResidual(problem_, loss_, options_.lambda, point_);
    return absl::OkStatus();
  }

  const ConeProblem problem_;
  const RowLoss loss_;
  GatedOptions options_;
  const DecompositionOptions decomposition_;
  GatedState<double> gated_;
  ConeWeights point_;
  PartProgress progress_;
};

}  // namespace

std::unique_ptr<PartSolver> MakeDecompositionPart(const ConeProblem& problem, RowLoss loss,
                                                  const GatedOptions& options,
                                                  const DecompositionOptions& decomposition) {
  return std::make_unique<DecompositionPart>(problem, std::move(loss), options, decomposition);
}

}  // namespace trainyard::convex_relu
