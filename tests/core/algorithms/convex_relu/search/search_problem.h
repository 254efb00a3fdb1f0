// Data and slopes for searches of patterns, and what the searches climb in its plainest form.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>
#include <vector>

#include "core/algorithms/convex_relu/cone_projection.h"
#include "tests/core/algorithms/convex_relu/cones/cone_test_problems.h"

namespace trainyard::convex_relu {

struct SearchProblem {
  SearchProblem(int row_count, int features, uint64_t seed, int outputs = 1)
      : data(RandomProblem(row_count, features, 1, seed).data), rows(data), x(ToEigen(data)) {
    std::mt19937_64 random(seed + 100);
    std::normal_distribution<double> normal;
    slopes.resize(static_cast<size_t>(row_count * outputs));
    for (double& slope : slopes) slope = normal(random);
  }

  Eigen::VectorXd Theta(int output = 0) const {
    return Eigen::Map<const Eigen::VectorXd>(slopes.data() + output * x.rows(), x.rows());
  }
  // -sign theta^T (X u)_+.
  double Relu(const Eigen::VectorXd& u, int sign, int output = 0) const {
    return -sign * Theta(output).dot((x * u).cwiseMax(0));
  }
  // ||X^T D_g theta||.
  double Gated(const Eigen::VectorXd& g, int output = 0) const {
    const Eigen::ArrayXd open = ((x * g).array() > 0).cast<double>();
    return (x.transpose() * (open * Theta(output).array()).matrix()).norm();
  }
  Eigen::VectorXd Head(const std::vector<double>& vector) const {
    return Eigen::Map<const Eigen::VectorXd>(vector.data(), x.cols());
  }

  PaddedMatrix<double> data;
  ConeRows rows;
  Eigen::MatrixXd x;
  std::vector<double> slopes;  // [output][row]
};

// Unit vectors that leave no larger hole than about pi / `steps`, in two or three dimensions.
inline std::vector<Eigen::VectorXd> AllDirections(int dimensions, int steps) {
  std::vector<Eigen::VectorXd> all;
  for (int i = 0; i < 2 * steps; ++i) {
    const double around = std::numbers::pi * (i + 0.5) / steps;
    if (dimensions == 2) {
      all.push_back(Eigen::Vector2d(std::cos(around), std::sin(around)));
      continue;
    }
    for (int j = 0; j < steps; ++j) {
      const double down = std::numbers::pi * (j + 0.5) / steps;
      all.push_back(Eigen::Vector3d(std::sin(down) * std::cos(around),
                                    std::sin(down) * std::sin(around), std::cos(down)));
    }
  }
  return all;
}

}  // namespace trainyard::convex_relu
