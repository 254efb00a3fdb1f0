#include "core/algorithms/convex_relu/relu_part.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/algorithms/convex_relu/relu_certificate.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

void PutActive(const std::vector<ActiveRows>& active, ByteWriter& writer) {
  writer.Put(static_cast<uint64_t>(active.size()));
  for (const ActiveRows& rows : active) {
    writer.PutList(rows.rows);
    writer.PutList(rows.multipliers);
  }
}

std::vector<ActiveRows> TakeActive(ByteReader& reader) {
  std::vector<ActiveRows> active;
  for (uint64_t left = reader.Take<uint64_t>(); left > 0 && reader.ok(); --left) {
    ActiveRows rows;
    rows.rows = reader.TakeList<int32_t>();
    rows.multipliers = reader.TakeList<double>();
    active.push_back(std::move(rows));
  }
  return active;
}

void PutPoint(const ConeWeights& point, ByteWriter& writer) {
  writer.Put(static_cast<int32_t>(point.stride));
  writer.Put(static_cast<uint64_t>(point.blocks.size()));
  for (const ConeBlock& block : point.blocks) {
    writer.Put(block.pattern);
    writer.Put(static_cast<int32_t>(block.sign));
  }
  writer.PutList(point.weights);
  PutActive(point.active, writer);
  writer.PutList(point.curvature);
}

ConeWeights TakePoint(ByteReader& reader) {
  ConeWeights point;
  point.stride = reader.Take<int32_t>();
  for (uint64_t left = reader.Take<uint64_t>(); left > 0 && reader.ok(); --left) {
    ConeBlock block;
    block.pattern = reader.Take<int64_t>();
    block.sign = reader.Take<int32_t>();
    point.blocks.push_back(block);
  }
  point.weights = reader.TakeList<double>();
  point.active = TakeActive(reader);
  point.curvature = reader.TakeList<double>();
  return point;
}

class ReluPart final : public PartSolver {
 public:
  ReluPart(const ConeProblem& problem, RowLoss loss, const ReluOptions& options)
      : problem_(problem), loss_(std::move(loss)), options_(options) {}

  absl::StatusOr<std::optional<double>> LargestLambda(
      const std::function<absl::Status()>& check) override {
    ReluCertifier certifier(problem_.products, problem_.rows, problem_.patterns, problem_.pool);
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

  void Collect(int first_output, std::vector<FitBlock>& blocks) const override {
    for (size_t b = 0; b < state_.point.blocks.size(); ++b) {
      if (state_.point.IsZero(b)) continue;
      const double* weights = state_.point.block(b);
      blocks.push_back({first_output,
                        state_.point.blocks[b].pattern,
                        state_.point.blocks[b].sign,
                        {weights, weights + problem_.rows.features()}});
    }
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
    const ConeViolation violation =
        MeasureViolation(problem_.rows, problem_.patterns, state_.point);
    progress_.greatest_violation =
        violation.largest_product > 0 ? violation.largest_violation / violation.largest_product : 0;
    progress_.constraint_violation = SquaredViolation();
    progress_.solve.subgradient_norm_squared = ProximalResidual();
  }

  // sum over blocks and rows of (-A u)_+^2.
  double SquaredViolation() const {
    std::vector<double> products(static_cast<size_t>(problem_.rows.rows()));
    double sum = 0;
    for (size_t b = 0; b < state_.point.blocks.size(); ++b) {
      problem_.rows.Multiply(state_.point.block(b), products.data());
      const uint64_t* pattern = problem_.patterns.pattern(state_.point.blocks[b].pattern);
      for (size_t j = 0; j < products.size(); ++j) {
        const double signed_product =
            IsActive(pattern, static_cast<int64_t>(j)) ? products[j] : -products[j];
        const double violation = std::max(-signed_product, 0.0);
        sum += violation * violation;
      }
    }
    return sum;
  }

  // sum over blocks of ||u - shrink(Proj_K(u - g))||^2.
  double ProximalResidual() const {
    BlockProducts products(problem_.rows, problem_.patterns, problem_.pool);
    ConeProjector projector(problem_.rows);
    std::vector<double> predictions(static_cast<size_t>(problem_.rows.rows()));
    std::vector<double> slopes(predictions.size());
    products.Predict(state_.point, predictions.data());
    loss_.Gradient(predictions.data(), slopes.data());
    std::vector<double> trial(static_cast<size_t>(problem_.rows.stride()));
    double sum = 0;
    for (size_t b = 0; b < state_.point.blocks.size(); ++b) {
      const ConeBlock& block = state_.point.blocks[b];
      const double* weights = state_.point.block(b);
      products.Adjoint(block.pattern, slopes.data(), trial.data());
      for (size_t k = 0; k < trial.size(); ++k) trial[k] = weights[k] - block.sign * trial[k];
      ActiveRows active = state_.point.active[b];
      const double norm = projector.Project(problem_.patterns.pattern(block.pattern), trial.data(),
                                            active, trial.data());
      const double factor = norm > options_.lambda ? 1 - options_.lambda / norm : 0;
      for (size_t k = 0; k < trial.size(); ++k) {
        const double change = factor * trial[k] - weights[k];
        sum += change * change;
      }
    }
    return sum;
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
