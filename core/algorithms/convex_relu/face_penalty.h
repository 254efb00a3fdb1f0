// The penalty's part of the second derivative on faces.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <vector>

#include "core/algorithms/convex_relu/face.h"

namespace trainyard::convex_relu {

// v / ||v|| in the unknowns of the face.
inline Eigen::VectorXd UnitOf(const Face& face) {
  return face.basis.transpose() * face.vector.head(face.basis.rows()) / face.norm;
}

// Second derivative of lambda ||v|| in the unknowns.
inline Eigen::MatrixXd PenaltyCurvature(const Face& face, double lambda) {
  const Eigen::VectorXd unit = UnitOf(face);
  return (lambda / face.norm) *
         (Eigen::MatrixXd::Identity(unit.size(), unit.size()) - unit * unit.transpose());
}

// The greatest norm of a block. What is added to a diagonal is relative to each unknown, as those
// of short blocks are far stiffer than the others, and to what the longest block has there.
inline double LongestNorm(const std::vector<Face>& faces) {
  double longest = 0;
  for (const Face& face : faces) longest = std::max(longest, face.norm);
  return longest;
}

}  // namespace trainyard::convex_relu
