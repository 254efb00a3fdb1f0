// Against the formulas in double; gradients against central differences of those.
#include <functional>

#include "core/tensor/kernels/norm_kernels.h"
#include "tests/core/tensor/kernel_test.h"

namespace trainyard {
namespace {

constexpr double kEpsilon = 1e-3;

struct Problem {
  NormKind kind = NormKind::kLayer;
  int64_t n = 0;
  int64_t d = 0;
  std::vector<double> x;
  std::vector<double> gain;
  std::vector<double> bias;  // may be empty
};

struct Moments {
  double mean = 0;
  double rstd = 0;
};

Moments MomentsOf(const Problem& problem, int64_t i) {
  Moments moments;
  const double* const row = problem.x.data() + i * problem.d;
  if (problem.kind == NormKind::kLayer) {
    for (int64_t j = 0; j < problem.d; ++j) moments.mean += row[j] / problem.d;
  }
  double squares = 0;
  for (int64_t j = 0; j < problem.d; ++j) squares += std::pow(row[j] - moments.mean, 2);
  moments.rstd = 1 / std::sqrt(squares / problem.d + kEpsilon);
  return moments;
}

std::vector<double> Normalized(const Problem& problem) {
  std::vector<double> y(problem.x.size());
  for (int64_t i = 0; i < problem.n; ++i) {
    const Moments moments = MomentsOf(problem, i);
    for (int64_t j = 0; j < problem.d; ++j) {
      const double gain = problem.gain[problem.kind == NormKind::kScale ? 0 : j];
      const double bias = problem.bias.empty() ? 0 : problem.bias[j];
      y[i * problem.d + j] =
          (problem.x[i * problem.d + j] - moments.mean) * moments.rstd * gain + bias;
    }
  }
  return y;
}

class NormTest : public KernelTest {
 protected:
  Problem Make(NormKind kind, int64_t n, int64_t d, bool with_bias) {
    Problem problem{.kind = kind, .n = n, .d = d};
    problem.x = Doubles(Random({n, d}, 1));
    for (double& value : problem.x) value = 2 * value + 0.5;
    problem.x = Doubles(Of({n, d}, problem.x));  // as the type holds them
    problem.gain = Doubles(Random({kind == NormKind::kScale ? 1 : d}, 2));
    if (with_bias) problem.bias = Doubles(Random({d}, 3));
    return problem;
  }
  Tensor GainOf(const Problem& problem) {
    return Of({static_cast<int64_t>(problem.gain.size())}, problem.gain);
  }
};
TRAINYARD_INSTANTIATE_KERNEL_TEST(NormTest);

TEST_P(NormTest, NormalizesRows) {
  for (const NormKind kind : {NormKind::kLayer, NormKind::kRms, NormKind::kScale}) {
    for (const auto& [n, d] :
         {std::pair<int64_t, int64_t>{1, 1}, {3, 5}, {70, 129}, {300, 100}, {2, 9001}}) {
      for (const bool with_bias : {false, true}) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(kind) << " " << n << " x " << d);
        const Problem problem = Make(kind, n, d, with_bias);
        const Tensor x = Of({n, d}, problem.x);
        const Tensor y = Random({n, d}, 4);
        const Tensor mean = Random({n}, 5);
        const Tensor rstd = Random({n}, 6);
        const Tensor bias = with_bias ? Of({d}, problem.bias) : Tensor();
        device_.norm().Normalize(kind, x, GainOf(problem), bias, kEpsilon, y, mean, rstd);
        ExpectNear(y, Normalized(problem), 2 * tolerance());
        for (int64_t i = 0; i < n; ++i) {
          const Moments moments = MomentsOf(problem, i);
          ASSERT_NEAR(At(rstd, {i}), moments.rstd, tolerance() * moments.rstd);
          if (kind == NormKind::kLayer) {
            ASSERT_NEAR(At(mean, {i}), moments.mean, tolerance());
          }
        }
        // Statistics that are not wanted; in place.
        device_.norm().Normalize(kind, x, GainOf(problem), bias, kEpsilon, x, Tensor(), Tensor());
        EXPECT_EQ(Doubles(x), Doubles(y));
      }
    }
  }
}

TEST_P(NormTest, GradientsAreThoseOfDifferences) {
  for (const NormKind kind : {NormKind::kLayer, NormKind::kRms, NormKind::kScale}) {
    for (const auto& [n, d] : {std::pair<int64_t, int64_t>{1, 2}, {3, 5}, {11, 37}}) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(kind) << " " << n << " x " << d);
      Problem problem = Make(kind, n, d, /*with_bias=*/true);
      const std::vector<double> weights = Doubles(Random({n, d}, 7));
      const auto loss = [&] {
        const std::vector<double> y = Normalized(problem);
        double sum = 0;
        for (size_t i = 0; i < y.size(); ++i) sum += weights[i] * y[i];
        return sum;
      };
      const auto slopes = [&](std::vector<double>& values) {
        std::vector<double> result;
        for (double& value : values) {
          const double before = value;
          value = before + 1e-5;
          const double above = loss();
          value = before - 1e-5;
          result.push_back((above - loss()) / 2e-5);
          value = before;
        }
        return result;
      };
      const Tensor x = Of({n, d}, problem.x);
      const Tensor mean = Random({n}, 5);
      const Tensor rstd = Random({n}, 6);
      device_.norm().Normalize(kind, x, GainOf(problem), Tensor(), kEpsilon, Random({n, d}, 4),
                               mean, rstd);
      const Tensor dx = Random({n, d}, 8);
      const Tensor dgain = Random({static_cast<int64_t>(problem.gain.size())}, 9);
      const Tensor dbias = Random({d}, 10);
      const auto sum_of = [](const std::vector<double>& a, std::vector<double> b) {
        for (size_t i = 0; i < b.size(); ++i) b[i] += a[i];
        return b;
      };
      const auto expected_dx = sum_of(Doubles(dx), slopes(problem.x));
      const auto expected_dgain = sum_of(Doubles(dgain), slopes(problem.gain));
      const auto expected_dbias = sum_of(Doubles(dbias), slopes(problem.bias));
      device_.norm().NormalizeBackward(kind, x, GainOf(problem), mean, rstd, Of({n, d}, weights),
                                       dx, /*accumulate_dx=*/true, dgain, dbias);
      const double allowed = is_double() ? 1e-7 : 1e-5;
      ExpectNear(dx, expected_dx, allowed);
      ExpectNear(dgain, expected_dgain, allowed);
      ExpectNear(dbias, expected_dbias, allowed);
    }
  }
}

TEST_P(NormTest, ManyRowsAddUpToTheirParts) {
  const int64_t n = 3000;
  const int64_t d = 65;
  for (const NormKind kind : {NormKind::kLayer, NormKind::kRms, NormKind::kScale}) {
    const Problem problem = Make(kind, n, d, false);
    const Tensor x = Of({n, d}, problem.x);
    const Tensor gain = GainOf(problem);
    const Tensor dy = Random({n, d}, 7);
    const Tensor mean = Random({n}, 5);
    const Tensor rstd = Random({n}, 6);
    device_.norm().Normalize(kind, x, gain, Tensor(), kEpsilon, Random({n, d}, 4), mean, rstd);
    const Tensor dx = Random({n, d}, 8);
    const Tensor dgain = Tensor::Zeros(device_, gain.shape(), type_);
    const Tensor dbias = Tensor::Zeros(device_, {d}, type_);
    device_.norm().NormalizeBackward(kind, x, gain, mean, rstd, dy, dx, false, dgain, dbias);
    std::vector<double> gains(problem.gain.size());
    std::vector<double> biases(static_cast<size_t>(d));
    for (int64_t i = 0; i < n; ++i) {
      const Moments moments = MomentsOf(problem, i);
      for (int64_t j = 0; j < d; ++j) {
        const double normal = (problem.x[i * d + j] - moments.mean) * moments.rstd;
        gains[kind == NormKind::kScale ? 0 : j] += At(dy, {i, j}) * normal;
        biases[j] += At(dy, {i, j});
      }
    }
    ExpectNear(dgain, gains, tolerance(), 300);
    ExpectNear(dbias, biases, tolerance(), 300);
    // Without gradients of parameters, dx is the same.
    const Tensor alone = Random({n, d}, 9);
    device_.norm().NormalizeBackward(kind, x, gain, mean, rstd, dy, alone, false, Tensor(),
                                     Tensor());
    EXPECT_EQ(Doubles(alone), Doubles(dx));
    // And those of parameters without dx.
    const Tensor again = Tensor::Zeros(device_, gain.shape(), type_);
    device_.norm().NormalizeBackward(kind, x, gain, mean, rstd, dy, Tensor(), false, again,
                                     Tensor());
    EXPECT_EQ(Doubles(again), Doubles(dgain));
  }
}

TEST_P(NormTest, BitsDoNotDependOnTheNumberOfThreads) {
  ExpectSameBitsForAnyThreads([&](CpuDevice& device) {
    const Shape shape = {1000, 100};
    const Tensor x = RandomTensor(device, shape, type_, 1);
    const Tensor gain = RandomTensor(device, {100}, type_, 2);
    const Tensor mean = Tensor::Zeros(device, {1000}, type_);
    const Tensor rstd = Tensor::Zeros(device, {1000}, type_);
    device.norm().Normalize(NormKind::kLayer, x, gain, gain, kEpsilon,
                            Tensor::Empty(device, shape, type_), mean, rstd);
    const Tensor dgain = Tensor::Zeros(device, {100}, type_);
    device.norm().NormalizeBackward(NormKind::kLayer, x, gain, mean, rstd,
                                    RandomTensor(device, shape, type_, 3),
                                    Tensor::Empty(device, shape, type_), false, dgain, Tensor());
    return dgain;
  });
}

TEST_P(NormTest, NoRowsNoWork) {
  const Tensor x = Tensor::Zeros(device_, {0, 4}, type_);
  const Tensor gain = Random({4}, 1);
  const Tensor none = Tensor::Zeros(device_, {0}, type_);
  device_.norm().Normalize(NormKind::kLayer, x, gain, gain, kEpsilon, x, none, none);
  const Tensor dgain = Tensor::Full(device_, {4}, 1, type_);
  device_.norm().NormalizeBackward(NormKind::kLayer, x, gain, none, none, x, x, false, dgain,
                                   Tensor());
  EXPECT_EQ(Doubles(dgain), (std::vector<double>{1, 1, 1, 1}));
}

}  // namespace
}  // namespace trainyard
