#include "core/algorithms/convex_relu/column_basis.h"

#include <Eigen/Jacobi>

namespace trainyard::convex_relu {
namespace {

// Gram-Schmidt passes: two are enough for a vector that is not in the span ("twice is enough"),
// the third is for what little the vector may have outside.
constexpr int kPasses = 3;

}  // namespace

ColumnBasis::ColumnBasis(int dimension)
    : q_(Eigen::MatrixXd::Zero(dimension, dimension)),
      r_(Eigen::MatrixXd::Zero(dimension, dimension)) {}

bool ColumnBasis::Append(const Eigen::VectorXd& column, double least_part) {
  if (size_ == dimension()) return false;
  const auto q = q_.leftCols(size_);
  Eigen::VectorXd rest = column;
  Eigen::VectorXd coefficients = Eigen::VectorXd::Zero(size_);
  for (int pass = 0; pass < kPasses; ++pass) {
    const Eigen::VectorXd part = q.transpose() * rest;
    rest.noalias() -= q * part;
    coefficients += part;
  }
  const double norm = rest.norm();
  if (!(norm > least_part * column.norm())) return false;
  r_.col(size_).setZero();
  r_.col(size_).head(size_) = coefficients;
  r_(size_, size_) = norm;
  q_.col(size_) = rest / norm;
  ++size_;
  return true;
}

void ColumnBasis::Remove(int index) {
  for (int c = index + 1; c < size_; ++c) r_.col(c - 1) = r_.col(c);
  --size_;
  // R is upper Hessenberg from `index` on.
  for (int c = index; c < size_; ++c) {
    Eigen::JacobiRotation<double> rotation;
    rotation.makeGivens(r_(c, c), r_(c + 1, c));
    r_.block(0, c, size_ + 1, size_ - c).applyOnTheLeft(c, c + 1, rotation.adjoint());
    q_.applyOnTheRight(c, c + 1, rotation);
    r_(c + 1, c) = 0;
  }
}

void ColumnBasis::Project(Eigen::VectorXd& target) const {
  const auto q = q_.leftCols(size_);
  for (int pass = 0; pass < kPasses; ++pass) target -= q * (q.transpose() * target).eval();
}

Eigen::VectorXd ColumnBasis::Solve(const Eigen::VectorXd& target) const {
  Eigen::VectorXd z = q_.leftCols(size_).transpose() * target;
  r_.topLeftCorner(size_, size_).triangularView<Eigen::Upper>().solveInPlace(z);
  return z;
}

}  // namespace trainyard::convex_relu
