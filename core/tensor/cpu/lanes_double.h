// One double, by the standard library's functions; see lanes.h.
#pragma once

#include <cmath>
#include <cstdint>

namespace trainyard::lanes_double {

using Scalar = double;

struct Mask {
  bool m;
  friend Mask operator&(Mask a, Mask b) { return {a.m && b.m}; }
  friend Mask operator|(Mask a, Mask b) { return {a.m || b.m}; }
};

struct Lanes {
  static constexpr int64_t kCount = 1;
  double v;

  static Lanes Of(double x) { return {x}; }
  static Lanes Load(const double* from) { return {*from}; }
  static Lanes LoadFirst(const double*, int64_t) { return {0}; }
  static Lanes LoadFirst(const double*, int64_t, Lanes rest) { return rest; }
  void Store(double* to) const { *to = v; }
  void StoreFirst(double*, int64_t) const {}
  void Stream(double* to) const { *to = v; }

  friend Lanes operator+(Lanes a, Lanes b) { return {a.v + b.v}; }
  friend Lanes operator-(Lanes a, Lanes b) { return {a.v - b.v}; }
  friend Lanes operator*(Lanes a, Lanes b) { return {a.v * b.v}; }
  friend Lanes operator/(Lanes a, Lanes b) { return {a.v / b.v}; }
  friend Mask operator<(Lanes a, Lanes b) { return {a.v < b.v}; }
  friend Mask operator<=(Lanes a, Lanes b) { return {a.v <= b.v}; }
};

inline Lanes Select(Mask mask, Lanes yes, Lanes no) { return mask.m ? yes : no; }
inline Lanes Fma(Lanes a, Lanes b, Lanes c) { return {std::fma(a.v, b.v, c.v)}; }
// The second operand where either is not a number.
inline Lanes Maximum(Lanes a, Lanes b) { return {a.v > b.v ? a.v : b.v}; }
inline Lanes Minimum(Lanes a, Lanes b) { return {a.v < b.v ? a.v : b.v}; }
inline Lanes Sqrt(Lanes a) { return {std::sqrt(a.v)}; }
inline Lanes Abs(Lanes a) { return {std::abs(a.v)}; }
inline Lanes Negate(Lanes a) { return {-a.v}; }
inline double SumOf(Lanes a) { return a.v; }
inline double LargestOf(Lanes a) { return a.v; }
inline double SmallestOf(Lanes a) { return a.v; }
inline bool All(Mask a) { return a.m; }

inline Lanes Exp(Lanes x) { return {std::exp(x.v)}; }
inline Lanes Log(Lanes x) { return {std::log(x.v)}; }
inline Lanes Sigmoid(Lanes x) { return {1 / (1 + std::exp(-x.v))}; }
inline Lanes Tanh(Lanes x) { return {std::tanh(x.v)}; }
inline Lanes Softplus(Lanes x) {
  return {(x.v > 0 ? x.v : 0) + std::log1p(std::exp(-std::abs(x.v)))};
}
inline Lanes Sin(Lanes x) { return {std::sin(x.v)}; }
inline Lanes Cos(Lanes x) { return {std::cos(x.v)}; }

// Phi(x) and its derivative phi(x), of the standard normal distribution.
struct NormalDistribution {
  Lanes cumulative;
  Lanes density;
  explicit NormalDistribution(Lanes x)
      : cumulative{std::erfc(-x.v * 0.70710678118654752440) / 2},
        density{std::exp(-x.v * x.v / 2) * 0.39894228040143267794} {}
};

}  // namespace trainyard::lanes_double
