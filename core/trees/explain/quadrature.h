// Gauss-Legendre quadrature on the interval from 0 to 1.
#pragma once

#include <vector>

namespace trainyard {

// The integral of a polynomial of degree at most 2 n - 1 over [0, 1] is exactly
// sum_g weights[g] f(points[g]). Points ascend; all lie inside the interval.
struct Quadrature {
  std::vector<double> points;
  std::vector<double> weights;
};

// The rule with `count` >= 1 points: roots of the Legendre polynomial by Newton's method from
// Tricomi's estimates, to the last bit or two. O(count^2).
Quadrature GaussLegendre(int count);

}  // namespace trainyard
