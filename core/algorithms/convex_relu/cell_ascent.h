// The greatest violation of a ReLU network's dual constraint near a vector, to the last bit.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/algorithms/convex_relu/cone_projection.h"

namespace trainyard::convex_relu {

// A local maximum of h(u) = -sign theta^T (X u)_+ over vectors of norm at most 1.
struct CellMaximum {
  double value = 0;            // 0: there is none but u = 0
  std::vector<double> vector;  // u, padded to the stride
  std::vector<uint64_t>
      pattern;  // of a cone that has u; rows that u is orthogonal to are of either side
};

// Goes from cell to cell of the arrangement of the rows' hyperplanes. In a cone K with the pattern
// D the maximum is ||Proj_K(g)|| at g = -sign X^T D theta. A row that the projection touches is
// crossed where the other side is higher: where its multiplier exceeds sign theta_j. The value
// rises with each step, so that it ends. One for each thread.
class CellAscent {
 public:
  // `rows` must outlive it.
  explicit CellAscent(const ConeRows& rows);

  // From the cone of `gate` (padded to the stride), at most `most` cells. `slopes` is theta. Ends
  // early when `stopped`, asked before each cell, is true.
  CellMaximum Climb(const double* slopes, int sign, const double* gate, int most,
                    const std::function<bool()>& stopped);

 private:
  void Gradient(const double* slopes, int sign, const uint64_t* pattern);

  const ConeRows& rows_;
  ConeProjector projector_;
  Eigen::VectorXd gradient_;  // padded, as `point_`
  Eigen::VectorXd point_;
  Eigen::VectorXd products_;
};

}  // namespace trainyard::convex_relu
