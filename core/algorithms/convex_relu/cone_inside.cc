#include "core/algorithms/convex_relu/cone_inside.h"

#include <Eigen/QR>
#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/algorithms/convex_relu/cone_projection.h"
#include "core/algorithms/convex_relu/pattern_bits.h"

namespace trainyard::convex_relu {
namespace {

constexpr double kLeastMargin = 1e-10;
// A row with less of its norm in a subspace is orthogonal to it.
constexpr double kOrthogonal = 1e-12;
// Multipliers below this share of the greatest one are rounding.
constexpr double kLeastMultiplier = 1e-12;

// (0, -1) projected onto {(u, t) : a_j.u + t >= 0} is (A^T gamma, sum gamma - 1) with gamma >= 0,
// and a_j . A^T gamma >= 1 - sum gamma, which is the squared norm of the projection.
struct Margin {
  Eigen::VectorXd direction;  // A^T gamma, of norm 1
  double value = 0;
  std::vector<int32_t> rows;  // with gamma > 0
};

Margin GreatestMargin(const Eigen::MatrixXd& rows) {
  const int d = static_cast<int>(rows.cols());
  PaddedMatrix<double> extended(rows.rows(), d + 1);
  PatternBits all(1, rows.rows());
  for (int64_t j = 0; j < rows.rows(); ++j) {
    Eigen::Map<Eigen::RowVectorXd>(extended.row(j), d) = rows.row(j);
    extended.row(j)[d] = 1;
    all.Activate(0, j);
  }
  const ConeRows cone(extended);
  std::vector<double> point(static_cast<size_t>(cone.stride()), 0.0);
  point[static_cast<size_t>(d)] = -1;
  ActiveRows active;
  ConeProjector(cone).Project(all.pattern(0), point.data(), active, point.data());
  Margin margin;
  margin.direction = Eigen::Map<const Eigen::VectorXd>(point.data(), d);
  if (margin.direction.norm() > 0) margin.direction.normalize();
  margin.value = (rows * margin.direction).minCoeff();
  double greatest = 0;
  for (const double multiplier : active.multipliers) greatest = std::max(greatest, multiplier);
  for (size_t k = 0; k < active.rows.size(); ++k) {
    if (active.multipliers[k] > kLeastMultiplier * greatest) margin.rows.push_back(active.rows[k]);
  }
  return margin;
}

// An orthonormal basis of the vectors orthogonal to some rows.
Eigen::MatrixXd OrthogonalTo(const Eigen::MatrixXd& rows, const std::vector<int32_t>& chosen) {
  const int64_t d = rows.cols();
  Eigen::MatrixXd columns(d, static_cast<int64_t>(chosen.size()));
  for (int64_t k = 0; k < columns.cols(); ++k) {
    columns.col(k) = rows.row(chosen[static_cast<size_t>(k)]).transpose();
  }
  Eigen::ColPivHouseholderQR<Eigen::MatrixXd> qr(columns);
  qr.setThreshold(kLeastMargin);
  const int64_t rank = qr.rank();
  const Eigen::MatrixXd tail = Eigen::MatrixXd::Identity(d, d).rightCols(d - rank);
  return qr.householderQ() * tail;
}

}  // namespace

Eigen::MatrixXd RowsWithin(const Eigen::MatrixXd& rows, const Eigen::MatrixXd& span) {
  Eigen::MatrixXd within = rows * span;
  int64_t count = 0;
  for (int64_t j = 0; j < within.rows(); ++j) {
    const double norm = within.row(j).norm();
    if (norm > kOrthogonal) within.row(count++) = (within.row(j) / norm).eval();
  }
  within.conservativeResize(count, Eigen::NoChange);
  return within;
}

ConeInside FindConeInside(const Eigen::MatrixXd& rows) {
  const int64_t d = rows.cols();
  ConeInside inside;
  inside.span = Eigen::MatrixXd::Identity(d, d);
  while (inside.span.cols() > 0) {
    const Eigen::MatrixXd within = RowsWithin(rows, inside.span);
    if (within.rows() == 0) {  // the cone is the subspace
      inside.vector = inside.span.col(0);
      inside.margin = 1;
      return inside;
    }
    const Margin margin = GreatestMargin(within);
    if (margin.value > kLeastMargin) {
      inside.vector = inside.span * margin.direction;
      inside.margin = margin.value;
      return inside;
    }
    if (margin.rows.empty()) break;
    inside.span = (inside.span * OrthogonalTo(within, margin.rows)).eval();
  }
  inside.span.resize(d, 0);
  inside.vector = Eigen::VectorXd::Zero(d);
  return inside;
}

}  // namespace trainyard::convex_relu
