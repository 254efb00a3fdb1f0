// Non-zero blocks of C-ReLU on the faces of their cones.
#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/algorithms/convex_relu/cone_blocks.h"

namespace trainyard::convex_relu {

// A block that stays orthogonal to its active rows. Its unknowns are coordinates in `basis`.
struct Face {
  size_t index = 0;  // in the point
  ConeBlock block;
  std::vector<int32_t> rows;  // active; independent
  Eigen::MatrixXd basis;      // d x f, orthonormal, of the vectors that are orthogonal to them
  Eigen::VectorXd vector;     // padded, as `direction`
  double norm = 0;
  Eigen::VectorXd gradient;  // of the objective, in all features
  int64_t offset = 0;        // of its unknowns
  Eigen::VectorXd direction;
  double longest = 1;  // share of the direction that stays in the cone, at most 1
  int32_t blocking = -1;
  // The loss's second derivative in the own unknowns, where the iterative equations keep it.
  Eigen::MatrixXd own_curvature;
};

}  // namespace trainyard::convex_relu
