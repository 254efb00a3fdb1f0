// Dual constraints of C-ReLU, for lower bounds, for the least lambda that gives zero, and for
// working sets.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/cone_blocks.h"
#include "core/algorithms/convex_relu/pattern_operator.h"
#include "core/algorithms/convex_relu/row_loss.h"

namespace trainyard::convex_relu {

// A block whose dual norm is above lambda.
struct ConeViolator {
  ConeBlock block;
  double norm = 0;
};

// The dual norms ||Proj_K(-sign X^T D_i theta^o)|| of all blocks (of all outputs, patterns with
// both signs): s theta, s >= 0, is feasible for the dual of C-ReLU where s times all of them are at
// most lambda. By Moreau's decomposition they are min over gamma >= 0 of ||sign X^T D_i theta^o -
// A_i^T gamma||.
class ReluCertifier {
 public:
  // Arguments but the last must outlive it; `products` are of the rows and all the patterns.
  ReluCertifier(PatternOperator<double>& products, const ConeRows& rows,
                const PatternBits& patterns, int outputs, ThreadPool& pool);

  struct Norms {
    // An upper bound of all norms: the greatest of them where it is above lambda.
    double largest = 0;
    std::vector<ConeViolator> violators;  // the greatest norm first
    int64_t projections = 0;
  };

  // Norms at theta = `slopes`, [output][row], against lambda, with the `most` >= 1 greatest
  // violators. Only blocks with ||X^T D_i theta|| > lambda that may be among them are projected,
  // and not to the end where a bound from fewer rows is enough. Errors are those of `check`, which
  // may be empty.
  absl::StatusOr<Norms> Evaluate(const double* slopes, double lambda, int64_t most,
                                 const std::function<absl::Status()>& check);

  // The greatest of the norms.
  absl::StatusOr<double> LargestNorm(const double* slopes,
                                     const std::function<absl::Status()>& check);

  // Where the projections begin: those of the last calls. Part of a solver's state, as it changes
  // the last bits of results.
  std::vector<ActiveRows>& active() { return active_; }
  ActiveRows& active(const ConeBlock& block) {
    return active_[static_cast<size_t>(2 * VectorOf(block) + (block.sign > 0 ? 0 : 1))];
  }

 private:
  struct Task {
    ConeBlock block;
    double norm;  // of the gradient, then of the projection or a bound of it
  };

  // Of the gradient.
  int64_t VectorOf(const ConeBlock& block) const {
    return block.output * products_.patterns() + block.pattern;
  }
  void TakeGradient(const double* slopes);
  std::vector<Task> TasksAbove(double norm) const;
  absl::Status Project(std::span<Task> tasks, double enough,
                       const std::function<absl::Status()>& check);

  PatternOperator<double>& products_;
  const ConeRows& rows_;
  const PatternBits& patterns_;
  const int outputs_;
  ThreadPool& pool_;
  std::vector<ConeProjector> projectors_;  // by thread
  std::vector<Eigen::VectorXd> vectors_;   // by thread
  std::vector<double> gradient_;           // [output][pattern][stride]
  std::vector<double> gradient_norms_;
  std::vector<ActiveRows> active_;  // [output][pattern][v, w]
};

// Lower bound of C-ReLU from predictions z whose slopes phi'(z) have that greatest dual norm.
double ConeDualBound(const RowLoss& loss, double lambda, const double* predictions,
                     double largest_norm);

// The least lambda at which all vectors of C-ReLU are zero.
absl::StatusOr<double> LargestReluLambda(ReluCertifier& certifier, const RowLoss& loss,
                                         const std::function<absl::Status()>& check);

}  // namespace trainyard::convex_relu
