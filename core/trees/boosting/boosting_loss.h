// The losses that boosting reduces: their gradients, and what a node predicts.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "core/base/thread_pool.h"
#include "core/trees/cart.h"
#include "core/trees/ensemble.h"
#include "trainyard/v1/boosting.pb.h"

namespace trainyard {

// Targets and weights of rows, and the raw scores that boosting has reached.
struct ScoredRows {
  TreeTarget target;
  std::span<const double> weights;  // per row, or empty for 1
  // [output][row]; `row_count` scores each.
  std::span<const double> scores;
  size_t row_count = 0;

  double WeightOf(size_t row) const { return weights.empty() ? 1.0 : weights[row]; }
  const double* ScoresOf(int output) const {
    return scores.data() + static_cast<size_t>(output) * row_count;
  }
};

// One loss l(y, s) of a row's target and raw scores; sums over rows are weighted. Below, g and h
// are the first and second derivative by one score, times the weight (of the squared error half of
// both; the second of softmax with K classes times K / (K - 1); the second of losses with kinks 1).
// A round calls Prepare, then Gradients for each output; scores of outputs whose gradients were
// taken may change in between.
class BoostingLoss {
 public:
  virtual ~BoostingLoss() = default;

  // Raw scores per row.
  virtual int outputs() const { return 1; }
  virtual Link link() const { return Link::kIdentity; }
  // Whether h is the weight (then Gradients leaves it out).
  virtual bool unit_hessian() const { return true; }
  // Greatest |-G / (H + l2)| that a node may predict, before the learning rate.
  virtual double max_step() const;

  // Not OK where a target of `rows` is out of the loss's range; names the row.
  virtual absl::Status CheckTargets(const TreeTarget& target,
                                    std::span<const uint32_t> rows) const = 0;
  // The constant raw scores of least loss, one per output, held to a finite range.
  virtual std::vector<double> Base(const ScoredRows& data,
                                   std::span<const uint32_t> rows) const = 0;
  // Readies Gradients for the current scores of the training rows.
  virtual void Prepare(const ScoredRows& data, std::span<const uint32_t> rows, ThreadPool& pool);
  // Sets gradients[row] and, unless unit_hessian(), hessians[row] for the rows. Thread-safe.
  virtual void Gradients(const ScoredRows& data, std::span<const uint32_t> rows, int output,
                         double* gradients, double* hessians) const = 0;
  // Weighted sum of l over the rows. Thread-safe.
  virtual double LossSum(const ScoredRows& data, std::span<const uint32_t> rows) const = 0;

  // Whether nodes predict a statistic of their residuals y - s, NodeValue, instead of -G / (H +
  // l2).
  virtual bool uses_residuals() const { return false; }
  // The statistic of the residuals of `rows`. Thread-safe.
  virtual double NodeValue(const ScoredRows& data, std::span<const uint32_t> rows) const;
};

// The loss of `options` (as resolved; quantile_level, huber_quantile set). INVALID_ARGUMENT where
// it does not fit the target.
absl::StatusOr<std::unique_ptr<BoostingLoss>> MakeBoostingLoss(const v1::BoostingOptions& options,
                                                               const TreeTarget& target);

}  // namespace trainyard
