// The best gate of all on a circle, for gated networks.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/algorithms/convex_relu/cone_projection.h"
#include "core/base/random.h"

namespace trainyard::convex_relu {

// Looks for the gate with the greatest dual norm ||X^T D_g theta||. On the circle of unit vectors
// that two directions span, each row changes sides twice: all of the circle's patterns are visited
// in the order of their angles, so the best of them is found exactly. In two dimensions that is the
// best of all. One for each thread.
class CircleSearch {
 public:
  // `rows` must outlive it.
  explicit CircleSearch(const ConeRows& rows);

  // Turns `gate` (padded to the stride, norm 1) on circles through it, towards the gradient,
  // towards the gate that would put each row on the side where it lengthens the gradient, and in
  // random directions, until `patience` circles in a row have no better gate or `most` are done.
  // Returns the norm at the gate. A circle costs 6 n d + n log n operations. Ends early when
  // `stopped`, asked often, is true.
  double Improve(const double* slopes, int patience, int most, Rng& random,
                 const std::function<bool()>& stopped, double* gate);

  // ||X^T D_g theta||; leaves the vector for Improve.
  double Norm(const double* slopes, const double* gate);

 private:
  struct Crossing {
    double angle;
    int32_t row;
    bool enters;
  };

  void ChooseDirection(int kind, const double* slopes, Rng& random);
  bool Orthogonalise(const double* gate);
  double BestAngle(const double* slopes, const std::function<bool()>& stopped, double& best);

  const ConeRows& rows_;
  Eigen::VectorXd gradient_;      // X^T D_g theta, padded, as the next
  Eigen::VectorXd direction_;     // orthogonal to the gate
  Eigen::VectorXd at_gate_;       // products of the rows
  Eigen::VectorXd at_direction_;  // likewise
  std::vector<Crossing> crossings_;
};

}  // namespace trainyard::convex_relu
