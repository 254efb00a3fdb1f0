#include "core/algorithms/convex_relu/cone_projection.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/algorithms/convex_relu/pattern_bits.h"

namespace trainyard::convex_relu {
namespace {

// A row of norm 1 is violated by a point of norm 1 below minus this.
constexpr double kSlackTolerance = 1e-12;
// What is left of a vector at this share of its norm is rounding.
constexpr double kRounding = 64 * std::numeric_limits<double>::epsilon();
// Violated rows that are tried before all rows are looked at again.
constexpr size_t kMaxCandidates = 48;

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

}  // namespace

ConeRows::ConeRows(const PaddedMatrix<double>& data)
    : data_(data), norms_(data.rows()), inverse_norms_(data.rows()) {
  for (int64_t j = 0; j < data.rows(); ++j) {
    norms_[j] = Eigen::Map<const Eigen::VectorXd>(data.row(j), data.columns()).norm();
    inverse_norms_[j] = norms_[j] > 0 ? 1 / norms_[j] : 0.0;
  }
}

void ConeRows::Multiply(const double* u, double* products) const {
  const Eigen::Map<const RowMajor, Eigen::Aligned64> x(data_.data(), rows(), stride());
  Eigen::Map<Eigen::VectorXd>(products, rows()).noalias() =
      x * Eigen::Map<const Eigen::VectorXd>(u, stride());
}

Eigen::MatrixXd ConeRows::Constraints(const uint64_t* pattern) const {
  Eigen::MatrixXd constraints(rows(), features());
  int64_t count = 0;
  for (int64_t j = 0; j < rows(); ++j) {
    if (norms_[j] == 0) continue;
    constraints.row(count++) = Eigen::Map<const Eigen::RowVectorXd>(row(j), features()) *
                               ((IsActive(pattern, j) ? 1 : -1) * inverse_norms_[j]);
  }
  constraints.conservativeResize(count, Eigen::NoChange);
  return constraints;
}

double ConeRows::LeastSlack(const uint64_t* pattern, const double* u) const {
  Eigen::ArrayXd products(rows());
  Multiply(u, products.data());
  double least = std::numeric_limits<double>::infinity();
  for (int64_t j = 0; j < rows(); ++j) {
    if (norms_[j] == 0) continue;
    least =
        std::min(least, (IsActive(pattern, j) ? products[j] : -products[j]) * inverse_norms_[j]);
  }
  return least;
}

ConeProjector::ConeProjector(const ConeRows& rows)
    : rows_(rows),
      basis_(rows.features()),
      p_(rows.features()),
      point_(Eigen::VectorXd::Zero(rows.stride())),
      products_(rows.rows()) {}

double ConeProjector::Project(const uint64_t* pattern, const double* p, ActiveRows& active,
                              double* u, double enough) {
  pattern_ = pattern;
  p_ = Eigen::Map<const Eigen::VectorXd>(p, rows_.features());
  Begin(active);
  double norm = ComputePoint();
  // Lawson and Hanson's method ends by itself; the limit is for cycles that rounding might cause.
  const int64_t most = changes_ + 50 * (rows_.features() + 20);
  while (norm > 0 && norm > enough && changes_ < most) {
    const int32_t row = MostViolated(norm);
    if (row < 0) break;
    if (!AppendRow(row)) {
      excluded_.push_back(row);
      continue;
    }
    if (!Settle()) {
      excluded_.push_back(row);
    } else {
      excluded_.clear();
    }
    norm = ComputePoint();
  }
  active.rows = active_;
  active.multipliers.resize(active_.size());
  for (size_t k = 0; k < active_.size(); ++k) {
    active.multipliers[k] = multipliers_[k] * rows_.inverse_norms()[active_[k]];
  }
  std::copy_n(point_.data(), rows_.stride(), u);
  return norm;
}

// Takes over rows that are independent, with multipliers that are right for them.
void ConeProjector::Begin(const ActiveRows& active) {
  basis_.Clear();
  active_.clear();
  multipliers_.clear();
  excluded_.clear();
  candidates_.clear();
  for (size_t k = 0; k < active.rows.size(); ++k) {
    const int32_t row = active.rows[k];
    if (rows_.norm(row) == 0 || !AppendRow(row)) continue;
    multipliers_.back() = std::max(active.multipliers[k] * rows_.norm(row), 0.0);
  }
  while (!Settle()) {
  }
}

bool ConeProjector::AppendRow(int32_t row) {
  const Eigen::Map<const Eigen::VectorXd> x(rows_.row(row), rows_.features());
  if (!basis_.Append(x * (Sign(row) * rows_.inverse_norms()[row]))) return false;
  active_.push_back(row);
  multipliers_.push_back(0);
  ++changes_;
  return true;
}

void ConeProjector::RemoveAt(int index) {
  basis_.Remove(index);
  active_.erase(active_.begin() + index);
  multipliers_.erase(multipliers_.begin() + index);
  ++changes_;
}

// The part of p outside the span of the active rows; returns its norm, 0 where it is rounding.
double ConeProjector::ComputePoint() {
  Eigen::VectorXd rest = p_;
  basis_.Project(rest);
  double norm = rest.norm();
  if (basis_.size() == basis_.dimension() || norm <= kRounding * p_.norm()) {
    rest.setZero();
    norm = 0;
  }
  point_.head(rows_.features()) = rest;
  return norm;
}

// Goes from the multipliers towards those that are best for the active rows and lets go of the
// rows that become zero on the way, until all are positive. False where the last row is one of
// them at once: rounding took it for violated.
bool ConeProjector::Settle() {
  bool first = true;
  while (basis_.size() > 0) {
    const Eigen::VectorXd best = basis_.Solve(-p_);
    const int size = basis_.size();
    if (best.minCoeff() > 0) {
      std::copy_n(best.data(), size, multipliers_.begin());
      return true;
    }
    if (first && multipliers_.back() == 0 && best[size - 1] <= 0) {
      RemoveAt(size - 1);
      return false;
    }
    first = false;
    double step = 1;
    for (int k = 0; k < size; ++k) {
      if (best[k] <= 0) step = std::min(step, multipliers_[k] / (multipliers_[k] - best[k]));
      if (best[k] <= 0 && multipliers_[k] == 0) step = 0;
    }
    for (int k = size - 1; k >= 0; --k) {
      const double next = multipliers_[k] + step * (best[k] - multipliers_[k]);
      const bool gone = best[k] <= 0 && (next <= 0 || multipliers_[k] == 0 ||
                                         multipliers_[k] / (multipliers_[k] - best[k]) <= step);
      if (gone) {
        RemoveAt(k);
      } else {
        multipliers_[k] = next;
      }
    }
  }
  return true;
}

// The row that the point violates most, -1 for none.
int32_t ConeProjector::MostViolated(double norm) {
  const int32_t known = MostViolatedCandidate(norm);
  if (known >= 0) return known;
  rows_.Multiply(point_.data(), products_.data());
  products_ *= rows_.inverse_norms();
  candidates_.clear();
  const double least = -kSlackTolerance * norm;
  for (int32_t j = 0; j < static_cast<int32_t>(rows_.rows()); ++j) {
    const double slack = IsActive(pattern_, j) ? products_[j] : -products_[j];
    if (slack < least && !IsExcluded(j)) candidates_.push_back({slack, j});
  }
  const auto worse = [](const Candidate& a, const Candidate& b) {
    return a.slack != b.slack ? a.slack < b.slack : a.row < b.row;
  };
  if (candidates_.size() > kMaxCandidates) {
    std::nth_element(candidates_.begin(), candidates_.begin() + kMaxCandidates, candidates_.end(),
                     worse);
    candidates_.resize(kMaxCandidates);
  }
  const auto worst = std::min_element(candidates_.begin(), candidates_.end(), worse);
  return worst == candidates_.end() ? -1 : worst->row;
}

int32_t ConeProjector::MostViolatedCandidate(double norm) const {
  double least = -kSlackTolerance * norm;
  int32_t worst = -1;
  for (const Candidate& candidate : candidates_) {
    if (IsExcluded(candidate.row)) continue;
    const double slack = Slack(candidate.row);
    if (slack < least || (slack == least && worst >= 0 && candidate.row < worst)) {
      least = slack;
      worst = candidate.row;
    }
  }
  return worst;
}

bool ConeProjector::IsExcluded(int32_t row) const {
  return std::find(excluded_.begin(), excluded_.end(), row) != excluded_.end();
}

double ConeProjector::Sign(int32_t row) const { return IsActive(pattern_, row) ? 1.0 : -1.0; }

double ConeProjector::Slack(int32_t row) const {
  const Eigen::Map<const Eigen::VectorXd> x(rows_.row(row), rows_.stride());
  return Sign(row) * x.dot(point_) * rows_.inverse_norms()[row];
}

}  // namespace trainyard::convex_relu
