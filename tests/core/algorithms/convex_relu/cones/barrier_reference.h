// A dense interior-point method for small convex networks: independent of what it is held against.
#pragma once

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <cmath>
#include <vector>

#include "tests/core/algorithms/convex_relu/cones/cone_test_problems.h"

namespace trainyard::convex_relu {

// Minimises 1/(2n) ||sum_k s_k D_k X u_k - y||^2 + lambda sum_k ||u_k|| over all v_k, w_k in K_k by
// Newton's method on tau (loss + lambda sum t_k) - sum log(t_k^2 - ||u_k||^2) - sum log(A u), with
// tau growing; the objective is at most (constraints / tau) above the optimum. No row of the data
// may be orthogonal to a gate.
class BarrierReference {
 public:
  BarrierReference(const ConeTestProblem& problem, double lambda)
      : x_(ToEigen(problem.data)), y_(problem.targets), lambda_(lambda) {
    const int64_t patterns = problem.patterns.patterns();
    const int d = static_cast<int>(x_.cols());
    const int n = static_cast<int>(x_.rows());
    blocks_ = static_cast<int>(2 * patterns);
    map_.resize(n, blocks_ * d);
    cones_ = Eigen::MatrixXd::Zero(blocks_ * n, blocks_ * d);
    point_.resize(blocks_ * d);
    for (int k = 0; k < blocks_; ++k) {
      const uint64_t* pattern = problem.patterns.pattern(k / 2);
      for (int j = 0; j < n; ++j) {
        const bool active = IsActive(pattern, j);
        map_.block(j, k * d, 1, d) = (active ? (k % 2 == 0 ? 1.0 : -1.0) : 0.0) * x_.row(j);
        cones_.block(k * n + j, k * d, 1, d) = (active ? 1.0 : -1.0) * x_.row(j);
      }
      point_.segment(k * d, d) = 0.01 * ToEigen(problem.gates).row(k / 2).transpose();
    }
    heights_.resize(blocks_);
    for (int k = 0; k < blocks_; ++k) heights_[k] = 2 * point_.segment(k * d, d).norm();
  }

  // The objective at the last tau.
  double Solve() {
    const double constraints = 2.0 * blocks_ + static_cast<double>(cones_.rows());
    for (double tau = 1; constraints / tau > 1e-10 * Objective(); tau *= 4) {
      for (int step = 0; step < 100 && NewtonStep(tau); ++step) {
      }
    }
    return Objective();
  }

  double Objective() const {
    const int d = static_cast<int>(x_.cols());
    double sum = (map_ * point_ - y_).squaredNorm() / (2.0 * static_cast<double>(y_.size()));
    for (int k = 0; k < blocks_; ++k) sum += lambda_ * point_.segment(k * d, d).norm();
    return sum;
  }

 private:
  double Barrier(double tau, const Eigen::VectorXd& u, const Eigen::VectorXd& t) const {
    const int d = static_cast<int>(x_.cols());
    const Eigen::VectorXd slack = cones_ * u;
    if (!(slack.minCoeff() > 0)) return INFINITY;
    double value = tau * ((map_ * u - y_).squaredNorm() / (2.0 * static_cast<double>(y_.size())) +
                          lambda_ * t.sum()) -
                   slack.array().log().sum();
    for (int k = 0; k < blocks_; ++k) {
      const double norm = u.segment(k * d, d).norm();
      if (!(t[k] > norm)) return INFINITY;
      value -= std::log((t[k] - norm) * (t[k] + norm));
    }
    return value;
  }

  // False at the minimum.
  bool NewtonStep(double tau) {
    const int d = static_cast<int>(x_.cols());
    const int size = blocks_ * d;
    const double n = static_cast<double>(y_.size());
    const Eigen::VectorXd inverse = (cones_ * point_).cwiseInverse();
    Eigen::VectorXd gradient = Eigen::VectorXd::Zero(size + blocks_);
    Eigen::MatrixXd hessian = Eigen::MatrixXd::Zero(size + blocks_, size + blocks_);
    gradient.head(size) =
        tau / n * map_.transpose() * (map_ * point_ - y_) - cones_.transpose() * inverse;
    hessian.topLeftCorner(size, size) =
        tau / n * map_.transpose() * map_ +
        cones_.transpose() * inverse.cwiseAbs2().asDiagonal() * cones_;
    for (int k = 0; k < blocks_; ++k) {
      const Eigen::VectorXd u = point_.segment(k * d, d);
      const double t = heights_[k];
      const double q = (t - u.norm()) * (t + u.norm());
      gradient.segment(k * d, d) += 2 / q * u;
      gradient[size + k] = tau * lambda_ - 2 * t / q;
      hessian.block(k * d, k * d, d, d) +=
          2 / q * Eigen::MatrixXd::Identity(d, d) + 4 / (q * q) * u * u.transpose();
      hessian.block(k * d, size + k, d, 1) = -4 * t / (q * q) * u;
      hessian.block(size + k, k * d, 1, d) = -4 * t / (q * q) * u.transpose();
      hessian(size + k, size + k) = -2 / q + 4 * t * t / (q * q);
    }
    const Eigen::VectorXd step = hessian.ldlt().solve(-gradient);
    const double decrement = -gradient.dot(step);
    if (!(decrement > 1e-10)) return false;
    const double before = Barrier(tau, point_, heights_);
    for (double share = 1; share > 1e-12; share *= 0.5) {
      const Eigen::VectorXd u = point_ + share * step.head(size);
      const Eigen::VectorXd t = heights_ + share * step.tail(blocks_);
      if (Barrier(tau, u, t) > before - 0.1 * share * decrement) continue;
      point_ = u;
      heights_ = t;
      return true;
    }
    return false;
  }

  Eigen::MatrixXd x_;
  Eigen::VectorXd y_;
  double lambda_;
  int blocks_ = 0;
  Eigen::MatrixXd map_;    // n x blocks d
  Eigen::MatrixXd cones_;  // all rows of all cones
  Eigen::VectorXd point_;
  Eigen::VectorXd heights_;
};

}  // namespace trainyard::convex_relu
