#include "core/algorithms/convex_relu/gate_circle.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace trainyard::convex_relu {
namespace {

// Directions that a circle may take; the others are random.
constexpr int kKinds = 3;
// Crossings between two questions whether to go on.
constexpr size_t kCrossingsOfLook = 4096;
// A better gate is longer by more than this share.
constexpr double kLeastRise = 1e-10;

using Vector = Eigen::Map<const Eigen::VectorXd>;

}  // namespace

CircleSearch::CircleSearch(const ConeRows& rows)
    : rows_(rows),
      gradient_(Eigen::VectorXd::Zero(rows.stride())),
      direction_(Eigen::VectorXd::Zero(rows.stride())),
      at_gate_(rows.rows()),
      at_direction_(rows.rows()) {
  crossings_.reserve(2 * static_cast<size_t>(rows.rows()));
}

double CircleSearch::Norm(const double* slopes, const double* gate) {
  direction_ = Vector(gate, rows_.stride());
  rows_.Multiply(direction_.data(), at_gate_.data());
  gradient_.setZero();
  for (int64_t j = 0; j < rows_.rows(); ++j) {
    if (at_gate_[j] > 0) gradient_ += slopes[j] * Vector(rows_.row(j), rows_.stride());
  }
  return gradient_.norm();
}

double CircleSearch::Improve(const double* slopes, int patience, int most, Rng& random,
                             const std::function<bool()>& stopped, double* gate) {
  double norm = Norm(slopes, gate);
  int without = 0;
  for (int circle = 0; circle < most && without < patience && !stopped(); ++circle) {
    ChooseDirection(circle % kKinds, slopes, random);
    ++without;
    if (!Orthogonalise(gate)) continue;
    double squares = norm * norm * (1 + kLeastRise);
    const double angle = BestAngle(slopes, stopped, squares);
    if (angle == 0) continue;
    Eigen::VectorXd turned =
        std::cos(angle) * Vector(gate, rows_.stride()) + std::sin(angle) * direction_;
    turned.normalize();
    const double found = Norm(slopes, turned.data());
    if (found <= norm) continue;  // rows that the rounded angle puts elsewhere
    std::copy_n(turned.data(), rows_.stride(), gate);
    norm = found;
    without = 0;
  }
  Norm(slopes, gate);
  return norm;
}

// Of a kind: the gradient; the sum of rows weighted by how much their side lengthens the gradient;
// random. at_gate_ and gradient_ are those of the gate.
void CircleSearch::ChooseDirection(int kind, const double* slopes, Rng& random) {
  if (kind == 0) {
    direction_ = gradient_;
    return;
  }
  direction_.setZero();
  if (kind == 1) {
    for (int64_t j = 0; j < rows_.rows(); ++j) {
      const Vector x(rows_.row(j), rows_.stride());
      const double wish = slopes[j] * x.dot(gradient_);
      if ((wish > 0) != (at_gate_[j] > 0)) direction_ += wish * x;
    }
    return;
  }
  for (int k = 0; k < rows_.features(); ++k) direction_[k] = random.NextGaussian();
}

bool CircleSearch::Orthogonalise(const double* gate) {
  const Vector g(gate, rows_.stride());
  const double before = direction_.norm();
  for (int twice = 0; twice < 2; ++twice) direction_ -= direction_.dot(g) * g;
  const double norm = direction_.norm();
  if (!(norm > 1e-10 * before)) return false;
  direction_ /= norm;
  return true;
}

// The angle, in (0, 2 pi), between crossings where the squared norm is greatest and above `best`,
// which becomes it; 0 where there is none. A row is active at the angle t where
// z cos t + p sin t > 0: from -pi/2 to pi/2 around atan2(p, z).
double CircleSearch::BestAngle(const double* slopes, const std::function<bool()>& stopped,
                               double& best) {
  constexpr double kTurn = 2 * std::numbers::pi;
  rows_.Multiply(direction_.data(), at_direction_.data());
  crossings_.clear();
  for (int64_t j = 0; j < rows_.rows(); ++j) {
    const double z = at_gate_[j];
    const double p = at_direction_[j];
    if (slopes[j] == 0 || (z == 0 && p == 0)) continue;
    const double middle = std::atan2(p, z);
    for (const bool enters : {true, false}) {
      double angle = middle + (enters ? -0.5 : 0.5) * std::numbers::pi;
      if (angle <= 0) angle += kTurn;
      crossings_.push_back({angle, static_cast<int32_t>(j), enters});
    }
  }
  std::sort(crossings_.begin(), crossings_.end(), [](const Crossing& a, const Crossing& b) {
    return a.angle != b.angle ? a.angle < b.angle : a.row < b.row;
  });
  Eigen::VectorXd sum = gradient_;
  double angle = 0;
  for (size_t k = 0; k < crossings_.size(); ++k) {
    if (k % kCrossingsOfLook == 0 && stopped()) break;
    const Crossing& crossing = crossings_[k];
    const double slope = (crossing.enters ? 1 : -1) * slopes[crossing.row];
    sum += slope * Vector(rows_.row(crossing.row), rows_.stride());
    const double next = k + 1 < crossings_.size() ? crossings_[k + 1].angle : kTurn;
    const double middle = crossing.angle + (next - crossing.angle) / 2;
    if (!(middle > crossing.angle && middle < next)) continue;  // rows that cross together
    const double squares = sum.squaredNorm();
    if (squares > best) {
      best = squares;
      angle = middle;
    }
  }
  return angle;
}

}  // namespace trainyard::convex_relu
