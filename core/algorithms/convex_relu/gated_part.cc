#include <algorithm>
#include <cmath>
#include <utility>

#include "core/algorithms/convex_relu/certificate.h"
#include "core/algorithms/convex_relu/gated_state_bytes.h"
#include "core/algorithms/convex_relu/least_squares.h"
#include "core/algorithms/convex_relu/part_solver.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

// What the gated solvers share.
template <typename Real>
class GatedPartBase : public PartSolver {
 public:
  GatedPartBase(PatternOperator<Real>& products, RowLoss loss, const GatedOptions& options)
      : products_(products), loss_(std::move(loss)), options_(options) {}

  absl::StatusOr<std::optional<double>> LargestLambda(
      const std::function<absl::Status()>& check) override {
    const std::optional<double> largest = LargestPenalty(products_, loss_, options_.regularizer);
    if (check) TY_RETURN_IF_ERROR(check());  // products may have been stopped
    return largest;
  }

  absl::StatusOr<SolveEnd> Solve(double lambda, double time_seconds,
                                 const PartHooks& hooks) override {
    options_.lambda = lambda;
    options_.time_seconds = time_seconds;
    GatedHooks own;
    own.check = hooks.check;
    own.checkpoint = hooks.checkpoint;
    own.report = [&](const GatedProgress&) {
      UpdateProgress();
      if (hooks.report) hooks.report(progress_);
    };
    TY_ASSIGN_OR_RETURN(const SolveEnd end, Run(own));
    UpdateProgress();
    return end;
  }

  const PartProgress& progress() const override { return progress_; }

  void Collect(int first_output, std::vector<FitBlock>& blocks) const override {
    if (const std::vector<Real>* dense = Dense()) {
      for (int64_t b = 0; b < loss_.outputs() * products_.patterns(); ++b) {
        AddBlock(first_output + static_cast<int>(b / products_.patterns()),
                 b % products_.patterns(), dense->data() + b * products_.stride(), blocks);
      }
      return;
    }
    const int64_t patterns = static_cast<int64_t>(state_.patterns.size());
    for (int o = 0; o < loss_.outputs(); ++o) {
      for (int64_t k = 0; k < patterns; ++k) {
        AddBlock(first_output + o, state_.patterns[static_cast<size_t>(k)],
                 state_.weights.data() + (o * patterns + k) * products_.stride(), blocks);
      }
    }
  }

 protected:
  virtual absl::StatusOr<SolveEnd> Run(const GatedHooks& hooks) = 0;
  // Weights of all patterns of a solve under way, where those are what it works with.
  virtual const std::vector<Real>* Dense() const = 0;

  void AddBlock(int output, int64_t pattern, const Real* weights,
                std::vector<FitBlock>& blocks) const {
    const Real* end = weights + products_.features();
    if (std::all_of(weights, end, [](Real weight) { return weight == 0; })) return;
    blocks.push_back({output, pattern, 1, {weights, end}});
  }

  void UpdateProgress() {
    progress_.solve = state_.progress;
    progress_.bounded = std::isfinite(state_.progress.relative_gap) && options_.lambda > 0;
  }

  PatternOperator<Real>& products_;
  const RowLoss loss_;
  GatedOptions options_;
  GatedState<Real> state_;
  PartProgress progress_;
};

template <typename Real>
class GatedPart final : public GatedPartBase<Real> {
 public:
  using GatedPartBase<Real>::GatedPartBase;

  void Restart() override { this->state_.Restart(); }
  void WarmStart(std::span<const FitBlock> blocks) override {
    GatedState<Real>& state = this->state_;
    state = GatedState<Real>();
    for (const FitBlock& block : blocks) state.patterns.push_back(block.pattern);
    std::sort(state.patterns.begin(), state.patterns.end());
    state.patterns.erase(std::unique(state.patterns.begin(), state.patterns.end()),
                         state.patterns.end());
    const int64_t count = static_cast<int64_t>(state.patterns.size());
    const int64_t stride = this->products_.stride();
    state.weights.assign(static_cast<size_t>(this->loss_.outputs() * count * stride), Real{0});
    for (const FitBlock& block : blocks) {
      const int64_t place =
          std::lower_bound(state.patterns.begin(), state.patterns.end(), block.pattern) -
          state.patterns.begin();
      std::transform(block.weights.begin(), block.weights.end(),
                     state.weights.data() + (block.output * count + place) * stride,
                     [](double weight) { return static_cast<Real>(weight); });
    }
  }
  void Save(ByteWriter& writer) const override { PutState(this->state_, writer); }
  void Load(ByteReader& reader) override {
    this->state_ = TakeGatedState<Real>(reader);
    this->UpdateProgress();
  }

 protected:
  absl::StatusOr<SolveEnd> Run(const GatedHooks& hooks) override {
    return SolveGated(this->products_, this->loss_, this->options_, this->state_, hooks);
  }
  const std::vector<Real>* Dense() const override {
    return this->state_.iteration.x.empty() ? nullptr : &this->state_.iteration.x;
  }
};

template <typename Real>
class LeastSquaresPart final : public GatedPartBase<Real> {
 public:
  using GatedPartBase<Real>::GatedPartBase;

  // Every lambda is solved from zero: LSMR's recurrences are those of its first point.
  void Restart() override {
    this->state_.Restart();
    lsmr_ = LsmrState<Real>();
  }
  void Save(ByteWriter& writer) const override {
    PutState(this->state_, writer);
    PutState(lsmr_, writer);
  }
  void Load(ByteReader& reader) override {
    this->state_ = TakeGatedState<Real>(reader);
    lsmr_ = TakeLsmrState<Real>(reader);
    this->UpdateProgress();
  }

 protected:
  absl::StatusOr<SolveEnd> Run(const GatedHooks& hooks) override {
    return SolveLeastSquares(this->products_, this->loss_, this->options_, lsmr_, this->state_,
                             hooks);
  }
  const std::vector<Real>* Dense() const override { return lsmr_.x.empty() ? nullptr : &lsmr_.x; }

 private:
  LsmrState<Real> lsmr_;
};

}  // namespace

template <typename Real>
std::unique_ptr<PartSolver> MakeGatedPart(PatternOperator<Real>& products, RowLoss loss,
                                          const GatedOptions& options) {
  return std::make_unique<GatedPart<Real>>(products, std::move(loss), options);
}

template <typename Real>
std::unique_ptr<PartSolver> MakeLeastSquaresPart(PatternOperator<Real>& products, RowLoss loss,
                                                 const GatedOptions& options) {
  return std::make_unique<LeastSquaresPart<Real>>(products, std::move(loss), options);
}

template std::unique_ptr<PartSolver> MakeGatedPart(PatternOperator<float>&, RowLoss,
                                                   const GatedOptions&);
template std::unique_ptr<PartSolver> MakeGatedPart(PatternOperator<double>&, RowLoss,
                                                   const GatedOptions&);
template std::unique_ptr<PartSolver> MakeLeastSquaresPart(PatternOperator<float>&, RowLoss,
                                                          const GatedOptions&);
template std::unique_ptr<PartSolver> MakeLeastSquaresPart(PatternOperator<double>&, RowLoss,
                                                          const GatedOptions&);

}  // namespace trainyard::convex_relu
