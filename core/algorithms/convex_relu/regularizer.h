// Penalties of the weights of a gated layer.
#pragma once

#include <cstdint>
#include <memory>

namespace trainyard::convex_relu {

// Weights are [output][pattern][stride], `features` of each row used and the rest zero.
struct WeightShape {
  int outputs = 1;
  int64_t patterns = 0;
  int features = 0;
  int stride = 0;

  int64_t blocks() const { return outputs * patterns; }
  int64_t size() const { return blocks() * stride; }
};

enum class RegularizerKind {
  kNone,
  kGroupL1,         // lambda sum over blocks ||u||_2: a neuron's weights vanish together
  kSquaredL2,       // lambda/2 ||u||^2
  kL1,              // lambda ||u||_1
  kFeatureGroupL1,  // lambda sqrt(d) sum over features ||all weights of the feature||_2
};

// R(u) with its proximal map and the distance to its subgradients.
template <typename Real>
class Regularizer {
 public:
  virtual ~Regularizer() = default;
  virtual double Value(const Real* x) const = 0;
  // x becomes the minimiser of R(u) + ||u - x||^2 / (2 step).
  virtual void Prox(double step, Real* x) const = 0;
  // Squared norm of the shortest element of gradient + dR(x).
  virtual double SubgradientNormSquared(const Real* x, const Real* gradient) const = 0;
};

template <typename Real>
std::unique_ptr<Regularizer<Real>> MakeRegularizer(RegularizerKind kind, double lambda,
                                                   const WeightShape& shape);

}  // namespace trainyard::convex_relu
