#include "core/trees/explain/quadrature.h"

#include <cmath>
#include <numbers>

namespace trainyard {
namespace {

// Value and derivative of the Legendre polynomial of degree `n` at `x` in (-1, 1).
struct Legendre {
  long double value;
  long double slope;
};

Legendre Evaluate(int n, long double x) {
  long double previous = 1;
  long double value = x;
  for (int k = 2; k <= n; ++k) {
    const long double next = ((2 * k - 1) * x * value - (k - 1) * previous) / k;
    previous = value;
    value = next;
  }
  return {value, n * (x * value - previous) / (x * x - 1)};
}

}  // namespace

Quadrature GaussLegendre(int count) {
  Quadrature rule;
  rule.points.resize(static_cast<size_t>(count));
  rule.weights.resize(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    long double x = -std::cos(std::numbers::pi_v<long double> * (i + 0.75L) / (count + 0.5L));
    Legendre at = Evaluate(count, x);
    for (int step = 0; step < 20; ++step) {
      const long double change = at.value / at.slope;
      x -= change;
      at = Evaluate(count, x);
      if (std::abs(change) < 1e-18L) break;
    }
    rule.points[static_cast<size_t>(i)] = static_cast<double>((1 + x) / 2);
    rule.weights[static_cast<size_t>(i)] =
        static_cast<double>(1 / ((1 - x * x) * at.slope * at.slope));
  }
  return rule;
}

}  // namespace trainyard
