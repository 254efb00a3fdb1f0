// Euclidean projections onto the cones of activation patterns.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <vector>

#include "core/algorithms/convex_relu/column_basis.h"
#include "core/algorithms/convex_relu/padded_matrix.h"

namespace trainyard::convex_relu {

// The rows x_j of n x d data as the cones K = {u : s_j x_j . u >= 0} see them, s_j = 1 where a
// pattern is active and -1 where not (A = (2D - I) X in the README). Rows of zeros ask for nothing.
// Immutable; keeps the data, which must outlive it.
class ConeRows {
 public:
  explicit ConeRows(const PaddedMatrix<double>& data);

  const PaddedMatrix<double>& data() const { return data_; }
  int64_t rows() const { return data_.rows(); }
  int features() const { return data_.columns(); }
  int stride() const { return data_.stride(); }
  const double* row(int64_t index) const { return data_.row(index); }
  double norm(int64_t row) const { return norms_[row]; }
  // 1 / norm; 0 for a row of zeros.
  const Eigen::ArrayXd& inverse_norms() const { return inverse_norms_; }

  // products_j = x_j . u for all rows; `u` is padded with zeros to the stride.
  void Multiply(const double* u, double* products) const;
  // The rows s_j x_j / ||x_j|| of a pattern's cone, without those of zeros.
  Eigen::MatrixXd Constraints(const uint64_t* pattern) const;
  // The least s_j x_j . u / ||x_j|| over rows that are not zero: negative by the greatest
  // violation.
  double LeastSlack(const uint64_t* pattern, const double* u) const;

 private:
  const PaddedMatrix<double>& data_;
  Eigen::ArrayXd norms_;
  Eigen::ArrayXd inverse_norms_;
};

// Rows at which a projection touches the boundary of its cone, with multipliers gamma > 0. Also
// where the search for a nearby projection begins.
struct ActiveRows {
  std::vector<int32_t> rows;
  std::vector<double> multipliers;
};

// Projects onto cones of one data set; one for each thread, as it holds scratch memory.
class ConeProjector {
 public:
  explicit ConeProjector(const ConeRows& rows);

  // u = the point of K nearest to p, = p + sum over active rows of gamma_j s_j x_j, by the active
  // set method of Lawson and Hanson for min over gamma >= 0 of ||p + A^T gamma||. Begins with
  // `active`, which may be any rows, and leaves those of the result there. Returns ||u||; stops
  // early, with u not yet in K, where an upper bound of it is at most `enough`. Vectors are padded
  // with zeros to the stride; u may be p. u satisfies active rows to rounding and the others to
  // 1e-12 ||x_j|| ||u||. Each look at all rows costs 2nd operations, each change of the active
  // rows O(d^2).
  double Project(const uint64_t* pattern, const double* p, ActiveRows& active, double* u,
                 double enough = -1);

  // Changes of active rows over all calls.
  int64_t changes() const { return changes_; }

 private:
  struct Candidate {
    double slack;
    int32_t row;
  };

  void Begin(const ActiveRows& active);
  bool AppendRow(int32_t row);
  void RemoveAt(int index);
  double ComputePoint();
  bool Settle();
  int32_t MostViolated(double norm);
  int32_t MostViolatedCandidate(double norm) const;
  bool IsExcluded(int32_t row) const;
  double Sign(int32_t row) const;
  double Slack(int32_t row) const;

  const ConeRows& rows_;
  const uint64_t* pattern_ = nullptr;
  ColumnBasis basis_;  // of the active rows s_j x_j / ||x_j||
  Eigen::VectorXd p_;
  Eigen::VectorXd point_;  // padded to the stride
  std::vector<int32_t> active_;
  std::vector<double> multipliers_;  // of rows of norm 1
  std::vector<int32_t> excluded_;    // rows that the arithmetic cannot add to the active ones
  std::vector<Candidate> candidates_;
  Eigen::ArrayXd products_;
  int64_t changes_ = 0;
};

}  // namespace trainyard::convex_relu
