#include "core/algorithms/convex_relu/cone_decomposition.h"

#include <Eigen/QR>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/algorithms/convex_relu/cone_inside.h"
#include "core/algorithms/convex_relu/cone_pair.h"
#include "core/algorithms/convex_relu/cone_penalty.h"
#include "core/algorithms/convex_relu/regularizer.h"
#include "core/algorithms/convex_relu/rfista.h"
#include "core/algorithms/convex_relu/smooth_function.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

using ConstVector = Eigen::Map<const Eigen::VectorXd>;

// The least t >= 0 with A (u + t g) >= 0.
absl::StatusOr<double> ShiftFor(const ConeRows& rows, const uint64_t* pattern, const double* gate,
                                const double* u) {
  Eigen::VectorXd products(rows.rows());
  Eigen::VectorXd reaches(rows.rows());
  rows.Multiply(u, products.data());
  rows.Multiply(gate, reaches.data());
  double shift = 0;
  for (int64_t j = 0; j < rows.rows(); ++j) {
    const double missing = IsActive(pattern, j) ? -products[j] : products[j];
    if (missing <= shift * std::abs(reaches[j])) continue;
    if (reaches[j] == 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("row ", j, " of the data is orthogonal to the gate"));
    }
    shift = missing / std::abs(reaches[j]);
  }
  return shift;
}

// The approximate decomposition's loss, 1/(2n) sum ||((-A u)_+ - A w)_+||^2.
class ViolationFunction final : public SmoothFunction<double> {
 public:
  explicit ViolationFunction(ConePenalty& penalty) : penalty_(penalty) {}
  int64_t size() const override { return penalty_.weights_size(); }
  int64_t image_size() const override { return penalty_.products_size(); }
  void Image(const double* x, double* image) override { penalty_.Multiply(x, image); }
  double Value(const double* image) const override { return penalty_.Value(image); }
  double Divergence(const double* next, const double* at) const override {
    return penalty_.Divergence(next, at);
  }
  void Gradient(const double* image, double* gradient) override {
    std::fill_n(gradient, size(), 0.0);
    penalty_.AddGradient(image, gradient);
  }
  bool quadratic() const override { return false; }

 private:
  ConePenalty& penalty_;
};

class Decomposer {
 public:
  Decomposer(const ConeRows& rows, const PatternBits& patterns, const PaddedMatrix<double>& gates,
             ThreadPool& pool, const std::vector<int64_t>& chosen,
             const std::vector<double>& weights, const DecompositionOptions& options,
             const std::function<absl::Status()>& check)
      : rows_(rows),
        patterns_(patterns),
        gates_(gates),
        pool_(pool),
        chosen_(chosen),
        weights_(weights),
        options_(options),
        check_(check),
        seconds_(weights.size(), 0.0) {}

  absl::StatusOr<Decomposition> Go() {
    for (size_t k = 0; k < count(); ++k) {
      if (ConstVector(u(k), rows_.stride()).isZero(0)) continue;
      if (IsInCone(k, 1)) continue;
      if (IsInCone(k, -1)) {
        Eigen::Map<Eigen::VectorXd>(w(k), rows_.stride()) = -ConstVector(u(k), rows_.stride());
      } else {
        pairs_.push_back(k);
      }
    }
    switch (options_.method) {
      case DecompositionMethod::kExact:
        TY_RETURN_IF_ERROR(FindExact());
        break;
      case DecompositionMethod::kApproximate:
        TY_RETURN_IF_ERROR(FindApproximate());
        break;
      case DecompositionMethod::kGateShift:
        TY_RETURN_IF_ERROR(FindShifts());
        break;
      case DecompositionMethod::kPseudoInverse:
        TY_RETURN_IF_ERROR(FindByPseudoInverse());
        break;
    }
    return Gather();
  }

 private:
  const double* u(size_t k) const {
    return weights_.data() + static_cast<int64_t>(k) * rows_.stride();
  }
  double* w(size_t k) { return seconds_.data() + static_cast<int64_t>(k) * rows_.stride(); }
  // Weights are numbered k = output * patterns + place of the pattern.
  int64_t pattern_of(size_t k) const { return chosen_[k % chosen_.size()]; }
  const uint64_t* pattern(size_t k) const { return patterns_.pattern(pattern_of(k)); }
  ConeBlock BlockOf(size_t k, int sign) const {
    return {pattern_of(k), sign, static_cast<int>(k / chosen_.size())};
  }
  size_t count() const { return weights_.size() / static_cast<size_t>(rows_.stride()); }

  bool IsInCone(size_t k, int sign) const {
    Eigen::VectorXd products(rows_.rows());
    rows_.Multiply(u(k), products.data());
    for (int64_t j = 0; j < rows_.rows(); ++j) {
      if (sign * (IsActive(pattern(k), j) ? products[j] : -products[j]) < 0) return false;
    }
    return true;
  }

  absl::Status FindExact() {
    const int d = rows_.features();
    std::vector<std::unique_ptr<ConePairSolver>> solvers(static_cast<size_t>(pool_.threads()));
    std::vector<absl::Status> statuses(pairs_.size());
    std::vector<double> gaps(pairs_.size(), 0.0);
    std::vector<int> iterations(pairs_.size(), 0);
    std::atomic<bool> stopped = false;
    pool_.Run(static_cast<int64_t>(pairs_.size()), [&](int64_t index, int thread) {
      if (stopped.load(std::memory_order_relaxed)) return;
      auto& solver = solvers[static_cast<size_t>(thread)];
      if (solver == nullptr) solver = std::make_unique<ConePairSolver>(rows_);
      const size_t task = static_cast<size_t>(index);
      const size_t k = pairs_[task];
      // The caller's thread asks; the others hear of it.
      const auto check = [&]() -> absl::Status {
        if (thread == 0 && check_) return check_();
        return stopped.load(std::memory_order_relaxed) ? absl::CancelledError() : absl::OkStatus();
      };
      const absl::StatusOr<ConePair> pair =
          solver->Solve(pattern(k), ConstVector(gates_.row(pattern_of(k)), d), ConstVector(u(k), d),
                        options_.relative_gap, check);
      if (!pair.ok()) {
        statuses[task] = AddContext(pair.status(), absl::StrCat("gate ", pattern_of(k)));
        stopped.store(true, std::memory_order_relaxed);
        return;
      }
      Eigen::Map<Eigen::VectorXd>(w(k), d) = pair->w;
      gaps[task] = std::max(pair->norm - pair->bound, 0.0) / pair->norm;
      iterations[task] = pair->iterations;
    });
    return Conclude(statuses, gaps, iterations);
  }

  // The first error that is not an answer to another one.
  absl::Status Conclude(const std::vector<absl::Status>& statuses, const std::vector<double>& gaps,
                        const std::vector<int>& iterations) {
    absl::Status first;
    for (const absl::Status& status : statuses) {
      if (!status.ok() && (first.ok() || absl::IsCancelled(first))) first = status;
    }
    TY_RETURN_IF_ERROR(first);
    for (size_t k = 0; k < gaps.size(); ++k) {
      largest_gap_ = std::max(largest_gap_, gaps[k]);
      iterations_ += iterations[k];
    }
    return absl::OkStatus();
  }

  absl::Status FindApproximate() {
    if (pairs_.empty()) return absl::OkStatus();
    std::vector<ConeBlock> blocks;
    for (const size_t k : pairs_) blocks.push_back(BlockOf(k, -1));
    ConePenalty penalty(rows_, patterns_, pool_, std::move(blocks));
    penalty.set_delta(1 / static_cast<double>(rows_.rows()));
    std::vector<double> packed;
    for (const size_t k : pairs_) packed.insert(packed.end(), u(k), u(k) + rows_.stride());
    penalty.Multiply(packed.data(), penalty.shifts().data());
    for (double& shift : penalty.shifts()) shift = std::max(-shift, 0.0);
    ViolationFunction function(penalty);
    const WeightShape shape{1, static_cast<int64_t>(pairs_.size()), rows_.features(),
                            rows_.stride()};
    const auto regularizer =
        MakeRegularizer<double>(RegularizerKind::kGroupL1, options_.penalty, shape);
    RFistaOptions rules;
    rules.initial_step = 1;
    rules.subgradient_tolerance = options_.tolerance;
    rules.max_iterations = options_.max_iterations;
    RFistaState<double> state;
    TY_ASSIGN_OR_RETURN(const RFistaEnd end,
                        MinimizeByRFista<double>(function, *regularizer, rules, state, {}, check_));
    if (end == RFistaEnd::kDiverged) {
      return absl::InternalError("the approximate decomposition diverged");
    }
    iterations_ = state.iterations;
    for (size_t p = 0; p < pairs_.size(); ++p) {
      std::copy_n(state.x.data() + static_cast<int64_t>(p) * rows_.stride(), rows_.stride(),
                  w(pairs_[p]));
    }
    return absl::OkStatus();
  }

  absl::Status FindShifts() {
    for (const size_t k : pairs_) {
      if (check_) TY_RETURN_IF_ERROR(check_());
      const double* gate = gates_.row(pattern_of(k));
      absl::StatusOr<double> shift = ShiftFor(rows_, pattern(k), gate, u(k));
      Eigen::VectorXd inside;
      if (!shift.ok()) {  // another vector of the cone will do
        inside = Inside(k);
        gate = inside.data();
        shift = ShiftFor(rows_, pattern(k), gate, u(k));
      }
      if (!shift.ok()) {
        return AddContext(shift.status(), absl::StrCat("gate ", pattern_of(k)));
      }
      for (int i = 0; i < rows_.features(); ++i) w(k)[i] = *shift * gate[i];
    }
    return absl::OkStatus();
  }

  // A vector inside the cone, padded with zeros.
  Eigen::VectorXd Inside(size_t k) const {
    Eigen::VectorXd inside = Eigen::VectorXd::Zero(rows_.stride());
    inside.head(rows_.features()) = FindConeInside(rows_.Constraints(pattern(k))).vector;
    return inside;
  }

  absl::Status FindByPseudoInverse() {
    if (pairs_.empty()) return absl::OkStatus();
    Eigen::MatrixXd x(rows_.rows(), rows_.features());
    for (int64_t j = 0; j < x.rows(); ++j) {
      x.row(j) = Eigen::Map<const Eigen::RowVectorXd>(rows_.row(j), rows_.features());
    }
    const Eigen::CompleteOrthogonalDecomposition<Eigen::MatrixXd> factors(x);
    if (factors.rank() < x.rows()) {
      return absl::FailedPreconditionError(
          absl::StrCat("the data has ", x.rows(), " rows of rank ", factors.rank(),
                       ", and the pseudo-inverse needs independent rows"));
    }
    for (const size_t k : pairs_) {
      if (check_) TY_RETURN_IF_ERROR(check_());
      // A w = (-A u)_+ is X w = s o (-s o X u)_+.
      Eigen::VectorXd needed = x * ConstVector(u(k), rows_.features());
      for (int64_t j = 0; j < x.rows(); ++j) {
        needed[j] = IsActive(pattern(k), j) ? std::max(-needed[j], 0.0) : -std::max(needed[j], 0.0);
      }
      Eigen::Map<Eigen::VectorXd>(w(k), rows_.features()) = factors.solve(needed);
    }
    return absl::OkStatus();
  }

  Decomposition Gather() {
    Decomposition result;
    result.point.stride = rows_.stride();
    std::vector<ConeBlock> blocks;
    for (size_t k = 0; k < count(); ++k) {
      blocks.push_back(BlockOf(k, 1));
      blocks.push_back(BlockOf(k, -1));
    }
    result.point.Add(std::move(blocks));
    double norms = 0;
    for (size_t k = 0; k < count(); ++k) {
      const ConstVector vector(u(k), rows_.stride());
      norms += vector.norm();
      Eigen::Map<Eigen::VectorXd>(result.point.block(2 * k), rows_.stride()) =
          vector + ConstVector(w(k), rows_.stride());
      std::copy_n(w(k), rows_.stride(), result.point.block(2 * k + 1));
    }
    result.point.DropZeros();
    if (norms > 0) result.norm_ratio = result.point.SumOfNorms() / norms;
    result.largest_gap = largest_gap_;
    result.iterations = iterations_;
    return result;
  }

  const ConeRows& rows_;
  const PatternBits& patterns_;
  const PaddedMatrix<double>& gates_;
  ThreadPool& pool_;
  const std::vector<int64_t>& chosen_;
  const std::vector<double>& weights_;
  const DecompositionOptions& options_;
  const std::function<absl::Status()>& check_;
  std::vector<double> seconds_;  // w, as the weights
  std::vector<size_t> pairs_;    // of the weights that need two vectors
  double largest_gap_ = 0;
  int64_t iterations_ = 0;
};

}  // namespace

absl::StatusOr<Decomposition> DecomposeIntoCones(
    const ConeRows& rows, const PatternBits& patterns, const PaddedMatrix<double>& gates,
    ThreadPool& pool, const std::vector<int64_t>& chosen, const std::vector<double>& weights,
    const DecompositionOptions& options, const std::function<absl::Status()>& check) {
  return Decomposer(rows, patterns, gates, pool, chosen, weights, options, check).Go();
}

absl::StatusOr<double> ShiftIntoCones(const ConeRows& rows, const PatternBits& patterns,
                                      const PaddedMatrix<double>& gates, bool keep_predictions,
                                      ConeWeights& point) {
  std::vector<double> shifts;
  std::vector<ConeBlock> opposite;
  for (size_t b = 0; b < point.blocks.size(); ++b) {
    const ConeBlock block = point.blocks[b];
    TY_ASSIGN_OR_RETURN(const double shift, ShiftFor(rows, patterns.pattern(block.pattern),
                                                     gates.row(block.pattern), point.block(b)));
    shifts.push_back(shift);
    if (keep_predictions && shift > 0)
      opposite.push_back({block.pattern, -block.sign, block.output});
  }
  const std::vector<ConeBlock> before = point.blocks;
  point.Add(std::move(opposite));
  double largest = 0;
  for (size_t b = 0; b < point.blocks.size(); ++b) {
    double shift = 0;
    for (size_t k = 0; k < before.size(); ++k) {
      if (before[k].pattern != point.blocks[b].pattern ||
          before[k].output != point.blocks[b].output) {
        continue;
      }
      if (keep_predictions || before[k] == point.blocks[b]) shift = std::max(shift, shifts[k]);
    }
    if (shift == 0) continue;
    const ConstVector gate(gates.row(point.blocks[b].pattern), rows.stride());
    Eigen::Map<Eigen::VectorXd>(point.block(b), rows.stride()) += shift * gate;
    point.active[b] = ActiveRows();
    largest = std::max(largest, shift * gate.norm());
  }
  return largest;
}

}  // namespace trainyard::convex_relu
