// The inside of a cone {u : A u >= 0}, where the gate of a pattern does not show it.
#pragma once

#include <Eigen/Core>

namespace trainyard::convex_relu {

struct ConeInside {
  // d x k with orthonormal columns: the subspace that the cone spans, which holds all differences
  // of its vectors.
  Eigen::MatrixXd span;
  // A vector of the cone of norm 1, with a positive product with every row but those that are
  // orthogonal to the whole cone. Zeros where the cone is {0}.
  Eigen::VectorXd vector;
  // Its least product with one of those rows.
  double margin = 0;
};

// `rows` are of norm 1. The vector's margin is the greatest there is: it is the shortest vector of
// the rows' convex hull, found as a non-negative least-squares problem. Where that is zero, the
// rows that make it up are orthogonal to the whole cone, and the search goes on in the subspace
// orthogonal to them. Margins below 1e-10 count as none.
ConeInside FindConeInside(const Eigen::MatrixXd& rows);

// The rows in coordinates of a subspace (d x k), again of norm 1, without those that are orthogonal
// to it.
Eigen::MatrixXd RowsWithin(const Eigen::MatrixXd& rows, const Eigen::MatrixXd& span);

}  // namespace trainyard::convex_relu
