#include "core/algorithms/convex_relu/relu_working_set.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "core/algorithms/convex_relu/block_descent.h"
#include "core/algorithms/convex_relu/certificate.h"
#include "core/algorithms/convex_relu/relu_certificate.h"
#include "core/base/status.h"
#include "core/base/stopwatch.h"

namespace trainyard::convex_relu {
namespace {

// Share of the certified gap that the next working set is solved to, and of the gap asked for.
constexpr double kInnerShare = 0.1;
constexpr double kFinalShare = 0.3;
constexpr int kSweepsOfRound = 3;
// Rounds without a smaller gap after which the arithmetic is at its end.
constexpr int kPatience = 60;

class ReluRun {
 public:
  ReluRun(PatternOperator<double>& products, const ConeRows& rows, const PatternBits& patterns,
          ThreadPool& pool, const RowLoss& loss, const ReluOptions& options, ReluState& state,
          const ReluHooks& hooks)
      : loss_(loss),
        options_(options),
        state_(state),
        hooks_(hooks),
        blocks_(rows, patterns, pool),
        certifier_(products, rows, patterns, loss.outputs(), pool),
        descent_(blocks_, loss, options.lambda),
        newton_(blocks_, loss, options.lambda, options.newton),
        projector_(rows),
        predictions_(loss.size()),
        slopes_(loss.size()),
        vector_(rows.stride()) {
    state_.point.stride = rows.stride();
    if (state_.certificate_active.size() == certifier_.active().size()) {
      certifier_.active() = state_.certificate_active;
    }
  }

  absl::StatusOr<SolveEnd> Go() {
    for (;;) {
      if (!state_.in_working_set) {
        TY_ASSIGN_OR_RETURN(const std::optional<SolveEnd> end, Certify());
        if (end.has_value()) return *end;
      }
      for (;;) {
        TY_ASSIGN_OR_RETURN(const bool done, Round());
        if (done) break;
        if (LimitReached().has_value()) break;
        TY_RETURN_IF_ERROR(Checkpoint());
      }
      state_.in_working_set = false;
    }
  }

 private:
  absl::Status Check() const { return hooks_.check ? hooks_.check() : absl::OkStatus(); }

  absl::Status Checkpoint() {
    if (!hooks_.checkpoint) return absl::OkStatus();
    state_.certificate_active = certifier_.active();
    return hooks_.checkpoint();
  }

  void Evaluate() {
    ReluProgress& progress = state_.progress;
    blocks_.Predict(state_.point, loss_.outputs(), predictions_.data());
    progress.smooth = loss_.Value(predictions_.data());
    progress.objective = progress.smooth + options_.lambda * state_.point.SumOfNorms();
    progress.active_blocks = state_.point.ActiveBlocks();
    progress.working_blocks = static_cast<int64_t>(state_.point.blocks.size());
    loss_.Gradient(predictions_.data(), slopes_.data());
  }

  // Objective and bound over all patterns; the end, or else the next working set.
  absl::StatusOr<std::optional<SolveEnd>> Certify() {
    ReluProgress& progress = state_.progress;
    state_.point.DropZeros();
    Evaluate();
    TY_ASSIGN_OR_RETURN(const ReluCertifier::Norms norms,
                        certifier_.Evaluate(slopes_.data(), options_.lambda,
                                            MostAdded() + progress.active_blocks, hooks_.check));
    ++progress.certificates;
    progress.projections += norms.projections;
    progress.bound = std::max(
        progress.bound, ConeDualBound(loss_, options_.lambda, predictions_.data(), norms.largest));
    progress.relative_gap = RelativeGap(progress.objective, progress.bound);
    if (hooks_.report) hooks_.report(progress);
    const bool stalled = state_.without_progress >= kPatience;
    if (progress.relative_gap <= options_.relative_gap) return SolveEnd::kGap;
    if (const std::optional<SolveEnd> limit = LimitReached()) return limit;
    const bool grown = Extend(norms.violators);
    if (stalled && !grown) return SolveEnd::kStalled;
    BeginWorkingSet();
    TY_RETURN_IF_ERROR(Checkpoint());
    return std::nullopt;
  }

  int64_t MostAdded() const {
    return std::max(
        {options_.least_added, static_cast<int64_t>(state_.point.blocks.size()), int64_t{1}});
  }

  // Adds the worst violators, as many as there are blocks.
  bool Extend(const std::vector<ConeViolator>& violators) {
    const size_t most =
        std::max(static_cast<size_t>(options_.least_added), state_.point.blocks.size());
    std::vector<ConeBlock> added;
    for (const ConeViolator& violator : violators) {
      if (added.size() == most) break;
      if (std::binary_search(state_.point.blocks.begin(), state_.point.blocks.end(),
                             violator.block)) {
        continue;
      }
      added.push_back(violator.block);
    }
    const bool grown = !added.empty();
    state_.point.Add(std::move(added));
    return grown;
  }

  void BeginWorkingSet() {
    const ReluProgress& progress = state_.progress;
    state_.inner_gap = std::max(kInnerShare * (progress.objective - progress.bound),
                                kFinalShare * options_.relative_gap * progress.objective);
    state_.in_working_set = true;
    state_.without_progress = 0;
    state_.least_gap = std::numeric_limits<double>::infinity();
  }

  // Steps on the working set; whether its own gap is small enough, or gets no smaller.
  absl::StatusOr<bool> Round() {
    ReluProgress& progress = state_.progress;
    Evaluate();
    for (int sweep = 0; sweep < kSweepsOfRound; ++sweep) {
      TY_RETURN_IF_ERROR(descent_.Sweep(hooks_.check, state_.point, predictions_));
      ++progress.iterations;
    }
    TY_ASSIGN_OR_RETURN(const int steps, newton_.Improve(hooks_.check, state_.point, predictions_));
    progress.newton_steps += steps;
    Evaluate();
    TY_ASSIGN_OR_RETURN(const double bound, WorkingSetBound());
    const double gap = progress.objective - bound;
    progress.relative_gap = RelativeGap(progress.objective, progress.bound);
    if (hooks_.report) hooks_.report(progress);
    if (gap <= state_.inner_gap) return true;
    state_.without_progress = gap < state_.least_gap ? 0 : state_.without_progress + 1;
    state_.least_gap = std::min(state_.least_gap, gap);
    return state_.without_progress >= kPatience;
  }

  // Lower bound of the problem that has the working set's blocks only.
  absl::StatusOr<double> WorkingSetBound() {
    double largest = 0;
    for (const ConeBlock& block : state_.point.blocks) {
      TY_RETURN_IF_ERROR(Check());
      blocks_.Adjoint(block.pattern, slopes_.data() + block.output * loss_.rows(), vector_.data());
      double norm = vector_.norm();
      if (norm > options_.lambda) {
        vector_ *= -block.sign;
        norm = projector_.Project(blocks_.patterns().pattern(block.pattern), vector_.data(),
                                  certifier_.active(block), vector_.data(), options_.lambda);
      }
      largest = std::max(largest, norm);
    }
    return ConeDualBound(loss_, options_.lambda, predictions_.data(), largest);
  }

  std::optional<SolveEnd> LimitReached() const {
    if (state_.progress.iterations >= options_.max_iterations) return SolveEnd::kIterations;
    if (options_.time_seconds > 0 && watch_.Seconds() > options_.time_seconds) {
      return SolveEnd::kTime;
    }
    return std::nullopt;
  }

  const RowLoss& loss_;
  const ReluOptions& options_;
  ReluState& state_;
  const ReluHooks& hooks_;
  const Stopwatch watch_;
  BlockProducts blocks_;
  ReluCertifier certifier_;
  BlockDescent descent_;
  FaceNewton newton_;
  ConeProjector projector_;
  Eigen::VectorXd predictions_;
  Eigen::VectorXd slopes_;
  Eigen::VectorXd vector_;
};

}  // namespace

void ReluState::Restart() {
  ConeWeights kept = std::move(point);
  *this = ReluState();
  point = std::move(kept);
}

absl::StatusOr<SolveEnd> SolveRelu(PatternOperator<double>& products, const ConeRows& rows,
                                   const PatternBits& patterns, ThreadPool& pool,
                                   const RowLoss& loss, const ReluOptions& options,
                                   ReluState& state, const ReluHooks& hooks) {
  if (!(options.lambda > 0)) return absl::InvalidArgumentError("lambda must be positive");
  return ReluRun(products, rows, patterns, pool, loss, options, state, hooks).Go();
}

ConeViolation MeasureViolation(const ConeRows& rows, const PatternBits& patterns,
                               const ConeWeights& point) {
  ConeViolation violation;
  Eigen::VectorXd products(rows.rows());
  for (size_t b = 0; b < point.blocks.size(); ++b) {
    rows.Multiply(point.block(b), products.data());
    const uint64_t* bits = patterns.pattern(point.blocks[b].pattern);
    for (int64_t j = 0; j < rows.rows(); ++j) {
      const double product = IsActive(bits, j) ? products[j] : -products[j];
      violation.largest_violation = std::max(violation.largest_violation, -product);
      violation.largest_product = std::max(violation.largest_product, std::abs(product));
    }
  }
  return violation;
}

}  // namespace trainyard::convex_relu
