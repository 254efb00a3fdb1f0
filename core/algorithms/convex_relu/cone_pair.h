// A vector as the difference of the two shortest vectors of a cone.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/cone_projection.h"

namespace trainyard::convex_relu {

struct ConePair {
  Eigen::VectorXd v;  // of d features, in K
  Eigen::VectorXd w;
  double norm = 0;   // ||v|| + ||w||
  double bound = 0;  // no pair is shorter
  int iterations = 0;
};

// Solves min ||v|| + ||w|| with v - w = u, v and w in K, by a primal-dual interior-point method in
// w, whose constraints are A w >= (-A u)_+; pairs are inside K and certified by
//   max <nu, u> with ||Proj_K(nu)|| <= 1 and ||Proj_K(-nu)|| <= 1.
// One for each thread. O(n d^2) operations an iteration.
class ConePairSolver {
 public:
  // Keeps the rows, which must outlive it.
  explicit ConePairSolver(const ConeRows& rows);

  // `gate`: a vector of K to begin with, as the pattern's gate is; d numbers each. Where it is
  // orthogonal to a row, so that it is not inside K, one that is gets looked for (cone_inside.h);
  // where nothing is, pairs are looked for in the subspace that K spans. Ends at a relative gap of
  // (norm - bound) / norm, or where the arithmetic gives no smaller one: see `bound`.
  // FAILED_PRECONDITION where u is not in the subspace that K spans, so that there is no pair.
  // Errors are those of `check`, which may be empty.
  absl::StatusOr<ConePair> Solve(const uint64_t* pattern, const Eigen::VectorXd& gate,
                                 const Eigen::VectorXd& u, double relative_gap,
                                 const std::function<absl::Status()>& check);

 private:
  struct Iterate {
    Eigen::VectorXd w;
    Eigen::VectorXd multipliers;
    Eigen::VectorXd slacks;  // A w - (-A u)_+
  };

  void SetCone(const uint64_t* pattern, const Eigen::VectorXd& u);
  absl::StatusOr<Eigen::VectorXd> Inside(const Eigen::VectorXd& gate);
  void Begin(const Eigen::VectorXd& inside, Iterate& at) const;
  bool Step(double center, Iterate& at) const;
  double Residual(double center, const Iterate& at) const;
  double Bound(const uint64_t* pattern, const Iterate& at);

  const ConeRows& rows_;
  ConeProjector projector_;
  // Vectors are those of the subspace that K spans; empty: all.
  Eigen::MatrixXd span_;
  Eigen::MatrixXd a_;       // rows of norm 1 with their signs; without those of zeros
  Eigen::VectorXd needed_;  // (-A u)_+
  Eigen::VectorXd u_;       // of norm 1
};

}  // namespace trainyard::convex_relu
