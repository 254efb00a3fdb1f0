// Orthonormal bases of spans of a changing list of vectors.
#pragma once

#include <Eigen/Core>
#include <vector>

namespace trainyard::convex_relu {

// Keeps B = Q R for columns b_1 .. b_k of R^d, k <= d, while columns come at the end and leave
// anywhere. O(dk) per change. Q stays orthonormal to rounding.
class ColumnBasis {
 public:
  explicit ColumnBasis(int dimension);

  int dimension() const { return static_cast<int>(q_.rows()); }
  int size() const { return size_; }
  void Clear() { size_ = 0; }

  // Appends a column; false, and no change, where less than `least_part` of its norm is outside the
  // span or the span is everything.
  bool Append(const Eigen::VectorXd& column, double least_part = 1e-11);
  void Remove(int index);

  // target = its part that is orthogonal to the span, to rounding of that part's own norm.
  void Project(Eigen::VectorXd& target) const;
  // The z that minimises ||B z - target||.
  Eigen::VectorXd Solve(const Eigen::VectorXd& target) const;

 private:
  Eigen::MatrixXd q_;
  Eigen::MatrixXd r_;
  int size_ = 0;
};

}  // namespace trainyard::convex_relu
