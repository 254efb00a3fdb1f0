// Newton's method for gated networks with the group penalty on the blocks that are not zero.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/pattern_operator.h"
#include "core/algorithms/convex_relu/regularizer.h"
#include "core/algorithms/convex_relu/row_loss.h"

namespace trainyard::convex_relu {

struct NewtonLimits {
  // The linear system is solved no further than to residuals of this length in every block.
  double target = 0;
  // Most products with the second derivative.
  int64_t max_products = 1000;
};

struct NewtonStep {
  bool lower = false;    // whether a lower point was found
  int64_t products = 0;  // pairs of one forward and one adjoint product that it took
};

// Where blocks u_i are not zero, phi(A u) + lambda sum ||u_i|| is smooth, with the second
// derivative A^T phi'' A + C, C_i = lambda/||u_i|| (I - u_i u_i^T/||u_i||^2). Newton's system is
// solved by conjugate gradients, preconditioned by C + tau I with tau the mean diagonal entry of
// A^T phi'' A, as closely as Eisenstat and Walker's first choice says (SIAM J. Sci. Comput. 17(1),
// 1996). Blocks whose step passes the origin become zero; steps are halved until they descend.
// Damping w takes part of the projection away, C_i = lambda/||u_i|| (I - (1 - w) u_i
// u_i^T/||u_i||^2): with w = 1 that is the second derivative of a quadratic upper bound of ||u_i||,
// whose whole steps descend for the squared loss. It grows where steps are cut short, and vanishes
// where the model holds.
template <typename Real>
class SupportNewton {
 public:
  // `products`: of the patterns that points have weights for. All must outlive it. `damping` of the
  // first step is from 0 to 1.
  SupportNewton(PatternOperator<Real>& products, const RowLoss& loss, double lambda,
                double damping);
  double damping() const { return damping_; }

  // The greatest length of a block's subgradient: over blocks that are not zero, and over those
  // that are. `gradient` = f'(x).
  struct Residuals {
    double support = 0;
    double zero = 0;
  };
  Residuals Measure(const Real* x, const Real* gradient) const;

  // Moves `x` and its image A x, unless nothing lower is found. `check` is asked after every
  // product; errors are its.
  absl::StatusOr<NewtonStep> Step(const std::function<absl::Status()>& check,
                                  const NewtonLimits& limits, const Real* gradient,
                                  std::vector<Real>& x, std::vector<Real>& image);

 private:
  // A block that is not zero.
  struct Block {
    int64_t from;  // its first number in x
    int64_t at;    // in the vectors of the support
    double norm = 0;
    double curvature = 0;  // lambda / norm
  };

  bool Gather(const Real* x, const Real* gradient);
  PatternOperator<Real>& products() { return selection_ ? *selection_ : all_; }
  absl::Status EstimateDiagonal(const std::function<absl::Status()>& check);
  absl::Status SolveSystem(const std::function<absl::Status()>& check, const NewtonLimits& limits,
                           NewtonStep& step);
  absl::Status MultiplyHessian(const std::function<absl::Status()>& check);
  double Precondition();
  absl::Status Search(const std::function<absl::Status()>& check, std::vector<Real>& x,
                      std::vector<Real>& image, NewtonStep& step);
  double PlaceMove(double share);
  double Excess() const;
  void Adapt(double share, double ratio);

  PatternOperator<Real>& all_;
  const RowLoss& loss_;
  const double lambda_;
  const WeightShape shape_;
  std::vector<int64_t> patterns_;                     // with weights; of `all_`
  std::unique_ptr<PatternOperator<Real>> selection_;  // of those; null: all
  std::vector<Block> blocks_;
  double tau_ = 0;
  std::vector<Real> point_;      // vectors of the support: [output][of patterns_][stride]
  std::vector<Real> slope_;      // gradient of the objective
  std::vector<Real> residual_;   // of Newton's system
  std::vector<Real> scaled_;     // the preconditioned residual
  std::vector<Real> direction_;  // of conjugate gradients
  std::vector<Real> curved_;     // the second derivative times it
  std::vector<Real> solution_;   // Newton's step
  std::vector<Real> move_;       // what is tried of it
  std::vector<Real> curvature_;  // of the loss
  std::vector<Real> rows_;       // scratch, as the image
  std::vector<Real> shifted_;
  double damping_;
  double last_slope_ = 0;  // of the step before: the greatest length of a block's slope,
  double last_left_ = -1;  // and what its system left of it; negative: no step before
};

}  // namespace trainyard::convex_relu
