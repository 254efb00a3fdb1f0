#include "core/algorithms/convex_relu/regularizer.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <vector>

namespace trainyard::convex_relu {
namespace {

template <typename Real>
using ConstArray = Eigen::Map<const Eigen::Array<Real, Eigen::Dynamic, 1>>;
template <typename Real>
using Array = Eigen::Map<Eigen::Array<Real, Eigen::Dynamic, 1>>;

template <typename Real>
double SquaredNorm(const Real* x, int64_t count) {
  return ConstArray<Real>(x, count).template cast<double>().square().sum();
}

template <typename Real>
class NoPenalty final : public Regularizer<Real> {
 public:
  explicit NoPenalty(const WeightShape& shape) : shape_(shape) {}
  double Value(const Real*) const override { return 0; }
  void Prox(double, Real*) const override {}
  double SubgradientNormSquared(const Real*, const Real* gradient) const override {
    return SquaredNorm(gradient, shape_.size());
  }

 private:
  const WeightShape shape_;
};

template <typename Real>
class SquaredL2 final : public Regularizer<Real> {
 public:
  SquaredL2(double lambda, const WeightShape& shape) : lambda_(lambda), shape_(shape) {}
  double Value(const Real* x) const override {
    return 0.5 * lambda_ * SquaredNorm(x, shape_.size());
  }
  void Prox(double step, Real* x) const override {
    Array<Real>(x, shape_.size()) *= static_cast<Real>(1 / (1 + step * lambda_));
  }
  double SubgradientNormSquared(const Real* x, const Real* gradient) const override {
    return (ConstArray<Real>(gradient, shape_.size()).template cast<double>() +
            lambda_ * ConstArray<Real>(x, shape_.size()).template cast<double>())
        .square()
        .sum();
  }

 private:
  const double lambda_;
  const WeightShape shape_;
};

template <typename Real>
class L1 final : public Regularizer<Real> {
 public:
  L1(double lambda, const WeightShape& shape) : lambda_(lambda), shape_(shape) {}
  double Value(const Real* x) const override {
    return lambda_ * ConstArray<Real>(x, shape_.size()).template cast<double>().abs().sum();
  }
  void Prox(double step, Real* x) const override {
    Array<Real> point(x, shape_.size());
    const Real threshold = static_cast<Real>(step * lambda_);
    point = (point - threshold).max(Real{0}) + (point + threshold).min(Real{0});
  }
  double SubgradientNormSquared(const Real* x, const Real* gradient) const override {
    double sum = 0;
    for (int64_t i = 0; i < shape_.size(); ++i) {
      const double g = static_cast<double>(gradient[i]);
      const double own = x[i] > 0   ? g + lambda_
                         : x[i] < 0 ? g - lambda_
                                    : std::max(std::abs(g) - lambda_, 0.0);
      sum += own * own;
    }
    return sum;
  }

 private:
  const double lambda_;
  const WeightShape shape_;
};

// The shortest element of gradient + lambda d||x||, squared, for a group with these sums.
double GroupSubgradientSquared(double lambda, double norm, double gradient_squared,
                               double inner_product) {
  if (norm == 0) {
    const double excess = std::max(std::sqrt(gradient_squared) - lambda, 0.0);
    return excess * excess;
  }
  return gradient_squared + 2 * lambda * inner_product / norm + lambda * lambda;
}

template <typename Real>
class GroupL1 final : public Regularizer<Real> {
 public:
  GroupL1(double lambda, const WeightShape& shape) : lambda_(lambda), shape_(shape) {}

  double Value(const Real* x) const override {
    double sum = 0;
    for (int64_t b = 0; b < shape_.blocks(); ++b) {
      sum += std::sqrt(SquaredNorm(x + b * shape_.stride, shape_.features));
    }
    return lambda_ * sum;
  }

  void Prox(double step, Real* x) const override {
    const double threshold = step * lambda_;
    for (int64_t b = 0; b < shape_.blocks(); ++b) {
      Array<Real> block(x + b * shape_.stride, shape_.features);
      const double norm = std::sqrt(SquaredNorm(block.data(), shape_.features));
      if (norm <= threshold) {
        block.setZero();
      } else {
        block *= static_cast<Real>(1 - threshold / norm);
      }
    }
  }

  // Summed from lambda x/||x|| + gradient, entry by entry: the two nearly cancel at a solution.
  double SubgradientNormSquared(const Real* x, const Real* gradient) const override {
    double sum = 0;
    for (int64_t b = 0; b < shape_.blocks(); ++b) {
      const ConstArray<Real> block(x + b * shape_.stride, shape_.features);
      const ConstArray<Real> g(gradient + b * shape_.stride, shape_.features);
      const double norm = std::sqrt(SquaredNorm(block.data(), shape_.features));
      if (norm == 0) {
        sum += GroupSubgradientSquared(lambda_, 0, SquaredNorm(g.data(), shape_.features), 0);
      } else {
        sum += (g.template cast<double>() + (lambda_ / norm) * block.template cast<double>())
                   .square()
                   .sum();
      }
    }
    return sum;
  }

 private:
  const double lambda_;
  const WeightShape shape_;
};

// A group holds a feature's weights in all outputs and patterns.
template <typename Real>
class FeatureGroupL1 final : public Regularizer<Real> {
 public:
  FeatureGroupL1(double lambda, const WeightShape& shape)
      : lambda_(lambda * std::sqrt(static_cast<double>(shape.features))), shape_(shape) {}

  double Value(const Real* x) const override {
    double sum = 0;
    for (const double squares : FeatureSums(x, x)) sum += std::sqrt(squares);
    return lambda_ * sum;
  }

  void Prox(double step, Real* x) const override {
    const std::vector<double> squares = FeatureSums(x, x);
    Eigen::Array<Real, Eigen::Dynamic, 1> factors(shape_.features);
    for (int k = 0; k < shape_.features; ++k) {
      const double norm = std::sqrt(squares[static_cast<size_t>(k)]);
      factors[k] = static_cast<Real>(norm > step * lambda_ ? 1 - step * lambda_ / norm : 0.0);
    }
    for (int64_t b = 0; b < shape_.blocks(); ++b) {
      Array<Real>(x + b * shape_.stride, shape_.features) *= factors;
    }
  }

  double SubgradientNormSquared(const Real* x, const Real* gradient) const override {
    const std::vector<double> squares = FeatureSums(x, x);
    const std::vector<double> gradients = FeatureSums(gradient, gradient);
    const std::vector<double> products = FeatureSums(x, gradient);
    double sum = 0;
    for (size_t k = 0; k < squares.size(); ++k) {
      sum += std::max(
          GroupSubgradientSquared(lambda_, std::sqrt(squares[k]), gradients[k], products[k]), 0.0);
    }
    return sum;
  }

 private:
  std::vector<double> FeatureSums(const Real* a, const Real* b) const {
    std::vector<double> sums(static_cast<size_t>(shape_.features), 0.0);
    for (int64_t block = 0; block < shape_.blocks(); ++block) {
      Array<double>(sums.data(), shape_.features) +=
          ConstArray<Real>(a + block * shape_.stride, shape_.features).template cast<double>() *
          ConstArray<Real>(b + block * shape_.stride, shape_.features).template cast<double>();
    }
    return sums;
  }

  const double lambda_;  // times sqrt(d)
  const WeightShape shape_;
};

}  // namespace

template <typename Real>
std::unique_ptr<Regularizer<Real>> MakeRegularizer(RegularizerKind kind, double lambda,
                                                   const WeightShape& shape) {
  switch (kind) {
    case RegularizerKind::kGroupL1:
      return std::make_unique<GroupL1<Real>>(lambda, shape);
    case RegularizerKind::kSquaredL2:
      return std::make_unique<SquaredL2<Real>>(lambda, shape);
    case RegularizerKind::kL1:
      return std::make_unique<L1<Real>>(lambda, shape);
    case RegularizerKind::kFeatureGroupL1:
      return std::make_unique<FeatureGroupL1<Real>>(lambda, shape);
    case RegularizerKind::kNone:
      break;
  }
  return std::make_unique<NoPenalty<Real>>(shape);
}

template std::unique_ptr<Regularizer<float>> MakeRegularizer(RegularizerKind, double,
                                                             const WeightShape&);
template std::unique_ptr<Regularizer<double>> MakeRegularizer(RegularizerKind, double,
                                                              const WeightShape&);

}  // namespace trainyard::convex_relu
