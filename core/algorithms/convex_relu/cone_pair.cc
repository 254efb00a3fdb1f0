#include "core/algorithms/convex_relu/cone_pair.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/algorithms/convex_relu/cone_inside.h"
#include "core/algorithms/convex_relu/pattern_bits.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

constexpr int kMaxIterations = 200;
// The product of slacks and multipliers that a step aims at is this share of the present one.
constexpr double kCentering = 0.1;
constexpr double kToBoundary = 0.995;
constexpr double kLeastStep = 1e-12;
// A gate whose product with a row of norm 1 is below this share of its norm is not inside.
constexpr double kLeastReach = 1e-12;
// A vector of norm 1 with more than this outside a subspace is not in it.
constexpr double kOutside = 1e-10;

}  // namespace

ConePairSolver::ConePairSolver(const ConeRows& rows) : rows_(rows), projector_(rows) {}

absl::StatusOr<ConePair> ConePairSolver::Solve(const uint64_t* pattern, const Eigen::VectorXd& gate,
                                               const Eigen::VectorXd& u, double relative_gap,
                                               const std::function<absl::Status()>& check) {
  const double scale = u.norm();
  ConePair best;
  best.v = best.w = Eigen::VectorXd::Zero(u.size());
  if (scale == 0) return best;
  SetCone(pattern, u / scale);
  TY_ASSIGN_OR_RETURN(const Eigen::VectorXd inside, Inside(gate));
  if (needed_.isZero(0) || (a_ * u_).maxCoeff() <= 0) {  // u or -u is in the cone
    if (!needed_.isZero(0)) best.w = -u;
    best.v = u + best.w;
    best.norm = best.bound = scale;
    return best;
  }
  Iterate at;
  Begin(inside, at);
  best.norm = INFINITY;
  const double constraints = static_cast<double>(at.slacks.size());
  for (int iteration = 1; iteration <= kMaxIterations; ++iteration) {
    if (check) TY_RETURN_IF_ERROR(check());
    const double product = at.slacks.dot(at.multipliers);
    const bool moved = Step(kCentering * product / constraints, at);
    const double norm = (at.w + u_).norm() + at.w.norm();
    if (norm < best.norm) {
      best.w = at.w;
      best.norm = norm;
    }
    best.iterations = iteration;
    // The sum of products is the gap once multipliers are right, so the certificate waits for it.
    if (at.slacks.dot(at.multipliers) <= relative_gap * best.norm || !moved) {
      best.bound = std::max(best.bound, Bound(pattern, at));
    }
    if (best.norm - best.bound <= relative_gap * best.norm || !moved) break;
  }
  best.w = scale * (span_.size() > 0 ? Eigen::VectorXd(span_ * best.w) : best.w);
  best.v = best.w + u;
  best.norm *= scale;
  best.bound *= scale;
  return best;
}

void ConePairSolver::SetCone(const uint64_t* pattern, const Eigen::VectorXd& u) {
  u_ = u;
  span_.resize(0, 0);
  a_ = rows_.Constraints(pattern);
  needed_ = (-(a_ * u_)).cwiseMax(0);
}

// A vector inside the cone, the gate where it is one; goes over to the subspace that the cone spans
// where that is not everything.
absl::StatusOr<Eigen::VectorXd> ConePairSolver::Inside(const Eigen::VectorXd& gate) {
  if (a_.rows() == 0 || (a_ * gate).minCoeff() > kLeastReach * gate.norm()) return gate;
  const ConeInside inside = FindConeInside(a_);
  const int64_t dimensions = inside.span.cols();
  if (dimensions == u_.size()) return inside.vector;
  const Eigen::VectorXd within = inside.span.transpose() * u_;
  if ((u_ - inside.span * within).norm() > kOutside) {
    return absl::FailedPreconditionError(
        absl::StrCat("the cone of the pattern has ", dimensions, " of ", u_.size(),
                     " dimensions, as rows of the data are orthogonal to the gate, and the vector "
                     "of the gated network is not in their subspace: it is no difference of two "
                     "vectors of the cone"));
  }
  span_ = inside.span;
  u_ = within.normalized();
  a_ = RowsWithin(a_, span_);
  needed_ = (-(a_ * u_)).cwiseMax(0);
  return Eigen::VectorXd(span_.transpose() * inside.vector);
}

// A multiple of the vector that is inside, with multipliers for products that are all equal.
void ConePairSolver::Begin(const Eigen::VectorXd& inside, Iterate& at) const {
  const Eigen::VectorXd reach = a_ * inside;
  const double multiple = reach.size() > 0 ? (needed_.array() / reach.array()).maxCoeff() : 0.0;
  at.w = (1.1 * multiple + 0.1 / inside.norm()) * inside;
  at.slacks = a_ * at.w - needed_;
  const double norm = (at.w + u_).norm() + at.w.norm();
  at.multipliers = (norm / static_cast<double>(std::max<int64_t>(at.slacks.size(), 1))) *
                   at.slacks.cwiseInverse();
}

// Newton's step for stationarity and products equal to `center`; false where it does not get
// closer.
bool ConePairSolver::Step(double center, Iterate& at) const {
  const Eigen::VectorXd v = at.w + u_;
  const double v_norm = v.norm();
  const double w_norm = at.w.norm();
  const int64_t d = u_.size();
  const Eigen::VectorXd v_unit = v / v_norm;
  const Eigen::VectorXd w_unit = at.w / w_norm;
  const Eigen::VectorXd inverse = at.slacks.cwiseInverse();
  const Eigen::VectorXd ratios = at.multipliers.cwiseProduct(inverse);
  Eigen::MatrixXd matrix = (1 / v_norm + 1 / w_norm) * Eigen::MatrixXd::Identity(d, d) -
                           v_unit * v_unit.transpose() / v_norm -
                           w_unit * w_unit.transpose() / w_norm;
  const Eigen::MatrixXd scaled = ratios.cwiseSqrt().asDiagonal() * a_;
  matrix.selfadjointView<Eigen::Lower>().rankUpdate(scaled.transpose());
  const Eigen::LDLT<Eigen::MatrixXd> factors(matrix);
  const Eigen::VectorXd step = factors.solve(center * (a_.transpose() * inverse) - v_unit - w_unit);
  if (!step.allFinite()) return false;
  const Eigen::VectorXd slack_step = a_ * step;
  const Eigen::VectorXd multiplier_step =
      center * inverse - at.multipliers - ratios.cwiseProduct(slack_step);

  double share = 1 / kToBoundary;
  for (int64_t j = 0; j < slack_step.size(); ++j) {
    if (slack_step[j] < 0) share = std::min(share, -at.slacks[j] / slack_step[j]);
    if (multiplier_step[j] < 0) share = std::min(share, -at.multipliers[j] / multiplier_step[j]);
  }
  share *= kToBoundary;
  const double before = Residual(center, at);
  for (; share > kLeastStep; share *= 0.5) {
    Iterate next{at.w + share * step, at.multipliers + share * multiplier_step, {}};
    next.slacks = a_ * next.w - needed_;
    if (!(next.slacks.minCoeff() > 0) || !(next.multipliers.minCoeff() > 0)) continue;
    if (Residual(center, next) > (1 - 0.01 * share) * before) continue;
    at = std::move(next);
    return true;
  }
  return false;
}

double ConePairSolver::Residual(double center, const Iterate& at) const {
  const Eigen::VectorXd v = at.w + u_;
  const Eigen::VectorXd stationarity =
      v / v.norm() + at.w / at.w.norm() - a_.transpose() * at.multipliers;
  const double products =
      (at.slacks.cwiseProduct(at.multipliers).array() - center).matrix().squaredNorm();
  return std::sqrt(stationarity.squaredNorm() + products);
}

// The dual objective at nu = v/||v|| minus the multipliers of v, made feasible.
double ConePairSolver::Bound(const uint64_t* pattern, const Iterate& at) {
  const Eigen::VectorXd of_v = (needed_.array() > 0).select(at.multipliers, 0.0);
  const Eigen::VectorXd nu = (at.w + u_).normalized() - a_.transpose() * of_v;
  double largest = 1;
  std::vector<double> padded(static_cast<size_t>(rows_.stride()));
  const Eigen::VectorXd full = span_.size() > 0 ? Eigen::VectorXd(span_ * nu) : nu;
  for (const double sign : {1.0, -1.0}) {
    std::fill(padded.begin(), padded.end(), 0.0);
    Eigen::Map<Eigen::VectorXd>(padded.data(), full.size()) = sign * full;
    ActiveRows active;
    largest =
        std::max(largest, projector_.Project(pattern, padded.data(), active, padded.data(), 1.0));
  }
  return std::max(nu.dot(u_) / largest, 1.0);  // no pair is shorter than u, whose norm is 1
}

}  // namespace trainyard::convex_relu
