// Normalisation, softmax and losses of rows beside loops in float64; gradients by central
// differences of those loops.
#include <array>
#include <cmath>
#include <functional>

#include "core/tensor/kernels/loss_kernels.h"
#include "core/tensor/kernels/norm_kernels.h"
#include "tests/core/tensor/cuda/kernel_test.h"

namespace trainyard {
namespace {

class CudaRowsTest : public CudaKernelTest {};
INSTANTIATE_CUDA_KERNEL_TEST(CudaRowsTest);

// Rows short enough for a warp, and long ones for a block.
struct Size {
  int64_t n;
  int64_t d;
};
constexpr std::array kSizes = {Size{19, 5}, Size{9, 100}, Size{3, 1111}};

// d(sum of dy * f(x))/dx.
Numbers Differences(const std::function<Numbers(const Numbers&)>& f, Numbers x, const Numbers& dy) {
  const double h = 1e-4;
  Numbers gradient(x.size());
  const auto inner = [&](const Numbers& y) {
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
    return sum;
  };
  for (size_t i = 0; i < x.size(); ++i) {
    const double value = x[i];
    x[i] = value + h;
    const double above = inner(f(x));
    x[i] = value - h;
    gradient[i] = (above - inner(f(x))) / (2 * h);
    x[i] = value;
  }
  return gradient;
}

struct Normalized {
  Numbers y;
  Numbers mean;
  Numbers rstd;
};

Normalized Normalize(NormKind kind, Size size, const Numbers& x, const Numbers& gain,
                     const Numbers& bias) {
  Normalized result;
  const auto [n, d] = size;
  for (int64_t i = 0; i < n; ++i) {
    double mean = 0;
    double square = 0;
    for (int64_t j = 0; j < d && kind == NormKind::kLayer; ++j) mean += x[i * d + j] / d;
    for (int64_t j = 0; j < d; ++j) square += std::pow(x[i * d + j] - mean, 2) / d;
    const double rstd = 1 / std::sqrt(square + 1e-5);
    result.mean.push_back(mean);
    result.rstd.push_back(rstd);
    for (int64_t j = 0; j < d; ++j) {
      result.y.push_back((x[i * d + j] - mean) * rstd * gain[gain.size() == 1 ? 0 : j] +
                         (bias.empty() ? 0 : bias[j]));
    }
  }
  return result;
}

TEST_P(CudaRowsTest, Normalizes) {
  for (const Size size : kSizes) {
    for (const NormKind kind : {NormKind::kLayer, NormKind::kRms, NormKind::kScale}) {
      const Numbers x = RandomNumbers(size.n * size.d, 1);
      const Numbers gain = RandomNumbers(kind == NormKind::kScale ? 1 : size.d, 2);
      const Numbers bias = kind == NormKind::kLayer ? RandomNumbers(size.d, 3) : Numbers();
      const Normalized expected = Normalize(kind, size, x, gain, bias);
      const bool centered = kind == NormKind::kLayer;
      Check(
          [&](Device& on, DType type) {
            const Shape shape{size.n, size.d};
            const Tensor y = Tensor::Empty(on, shape, type);
            const Tensor mean = centered ? Tensor::Empty(on, {size.n}, type) : Tensor();
            const Tensor rstd = Tensor::Empty(on, {size.n}, type);
            on.norm().Normalize(kind, Put(on, shape, x, type),
                                Put(on, {static_cast<int64_t>(gain.size())}, gain, type),
                                bias.empty() ? Tensor() : Put(on, {size.d}, bias, type), 1e-5, y,
                                mean, rstd);
            return std::vector{y, rstd, centered ? mean : rstd};
          },
          {expected.y, expected.rstd, centered ? expected.mean : expected.rstd});
    }
  }
}

TEST_P(CudaRowsTest, GradientsOfNormalization) {
  for (const Size size : {Size{7, 5}, Size{5, 40}, Size{2, 1030}}) {
    for (const NormKind kind : {NormKind::kLayer, NormKind::kRms, NormKind::kScale}) {
      const Shape shape{size.n, size.d};
      const Numbers x = RandomNumbers(size.n * size.d, 4);
      const Numbers gain = RandomNumbers(kind == NormKind::kScale ? 1 : size.d, 5);
      const Numbers dy = RandomNumbers(size.n * size.d, 6);
      Numbers dx(x.size());
      // Rows are independent of each other: differences row by row.
      for (int64_t i = 0; i < size.n; ++i) {
        const auto row = [&](const Numbers& of) {
          return Numbers(of.begin() + i * size.d, of.begin() + (i + 1) * size.d);
        };
        const Numbers part = Differences(
            [&](const Numbers& at) {
              return Normalize(kind, {1, size.d}, at, gain, {}).y;
            },
            row(x), row(dy));
        std::copy(part.begin(), part.end(), dx.begin() + i * size.d);
      }
      const Normalized forward = Normalize(kind, size, x, gain, {});
      // The result is linear in the gain.
      const Numbers unscaled = Normalize(kind, size, x, Numbers(gain.size(), 1.0), {}).y;
      Numbers dgain_plus_one(gain.size(), 1.0);
      for (size_t i = 0; i < dy.size(); ++i) {
        dgain_plus_one[gain.size() == 1 ? 0 : i % size.d] += dy[i] * unscaled[i];
      }
      Numbers dbias(size.d, 0.0);
      for (size_t i = 0; i < dy.size(); ++i) dbias[i % size.d] += dy[i];
      Check(
          [&](Device& on, DType type) {
            const Shape gain_shape{static_cast<int64_t>(gain.size())};
            const Tensor dx_out = Tensor::Empty(on, shape, type);
            const Tensor dgain_out = Tensor::Full(on, gain_shape, 1, type);
            const Tensor dbias_out = Tensor::Zeros(on, {size.d}, type);
            const Tensor mean =
                kind == NormKind::kLayer ? Put(on, {size.n}, forward.mean, type) : Tensor();
            on.norm().NormalizeBackward(
                kind, Put(on, shape, x, type), Put(on, gain_shape, gain, type), mean,
                Put(on, {size.n}, forward.rstd, type), Put(on, shape, dy, type), dx_out, false,
                dgain_out, kind == NormKind::kLayer ? dbias_out : Tensor());
            std::vector<Tensor> results = {dx_out, dgain_out};
            if (kind == NormKind::kLayer) results.push_back(dbias_out);
            return results;
          },
          kind == NormKind::kLayer ? std::vector{dx, dgain_plus_one, dbias}
                                   : std::vector{dx, dgain_plus_one},
          1e-5, 1e-6);
    }
  }
}

// Many rows, so that the sums of columns are taken in parts; dx is added to.
TEST_P(CudaRowsTest, SumsOfManyRowsAndAccumulation) {
  const Size size{1201, 3};
  const Shape shape{size.n, size.d};
  const Numbers x = RandomNumbers(size.n * size.d, 7);
  const Numbers dy = RandomNumbers(size.n * size.d, 8);
  const Normalized forward = Normalize(NormKind::kRms, size, x, {1, 1, 1}, {});
  Numbers dgain(3, 0.0);
  for (size_t i = 0; i < x.size(); ++i) dgain[i % 3] += dy[i] * x[i] * forward.rstd[i / 3];
  const auto backward = [&](Device& on, DType type, bool accumulate) {
    const Tensor dx = Tensor::Zeros(on, shape, type);
    const Tensor dgain_out = Tensor::Zeros(on, {3}, type);
    for (int i = 0; i < 2; ++i) {
      on.norm().NormalizeBackward(NormKind::kRms, Put(on, shape, x, type),
                                  Tensor::Full(on, {3}, 1, type), Tensor(),
                                  Put(on, {size.n}, forward.rstd, type), Put(on, shape, dy, type),
                                  dx, accumulate, i == 0 ? dgain_out : Tensor(), Tensor());
    }
    return std::pair{dx, dgain_out};
  };
  Check([&](Device& on, DType type) { return std::vector{backward(on, type, true).second}; },
        {dgain});
  Numbers twice = Get(backward(device(), DType::kFloat64, false).first);
  for (double& value : twice) value *= 2;
  Check([&](Device& on, DType type) { return std::vector{backward(on, type, true).first}; },
        {twice});
}

Numbers Softmax(Size size, const Numbers& x, bool logarithm) {
  Numbers y(x.size());
  for (int64_t i = 0; i < size.n; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < size.d; ++j) sum += std::exp(x[i * size.d + j]);
    for (int64_t j = 0; j < size.d; ++j) {
      const double at = x[i * size.d + j];
      y[i * size.d + j] = logarithm ? at - std::log(sum) : std::exp(at) / sum;
    }
  }
  return y;
}

TEST_P(CudaRowsTest, SoftmaxAndItsLogarithm) {
  for (const Size size : kSizes) {
    const Shape shape{size.n, size.d};
    const Numbers x = RandomNumbers(size.n * size.d, 9);
    Check(
        [&](Device& on, DType type) {
          const Tensor y = Put(on, shape, x, type, Placement::kGapped);
          on.loss().Softmax(y, y);
          const Tensor log_y = Tensor::Empty(on, shape, type);
          on.loss().LogSoftmax(Put(on, shape, x, type, Placement::kGapped), log_y);
          return std::vector{y, log_y};
        },
        {Softmax(size, x, false), Softmax(size, x, true)});
  }
}

TEST_P(CudaRowsTest, SoftmaxOfLargeNumbersDoesNotOverflow) {
  const Tensor x = Put(device(), {1, 3}, {1000, 1000, -1000}, DType::kFloat32);
  const Tensor y = Tensor::Empty(device(), {1, 3});
  device().loss().Softmax(x, y);
  EXPECT_EQ(Get(y), (Numbers{0.5, 0.5, 0}));
}

TEST_P(CudaRowsTest, GradientsOfSoftmax) {
  for (const bool logarithm : {false, true}) {
    const Size size{4, 33};
    const Shape shape{size.n, size.d};
    const Numbers x = RandomNumbers(size.n * size.d, 10);
    const Numbers dy = RandomNumbers(size.n * size.d, 11);
    const Numbers y = Softmax(size, x, logarithm);
    Numbers dx =
        Differences([&](const Numbers& at) { return Softmax(size, at, logarithm); }, x, dy);
    for (double& value : dx) value += 2;
    Check(
        [&](Device& on, DType type) {
          const Tensor out = Tensor::Full(on, shape, 2, type);
          if (logarithm) {
            on.loss().LogSoftmaxBackward(Put(on, shape, y, type), Put(on, shape, dy, type), out,
                                         true);
          } else {
            on.loss().SoftmaxBackward(Put(on, shape, y, type), Put(on, shape, dy, type), out, true);
          }
          return std::vector{out};
        },
        {dx}, 2e-6, 1e-7);
  }
}

TEST_P(CudaRowsTest, CrossEntropyAndItsGradientInPlace) {
  for (const Size size : kSizes) {
    const Shape shape{size.n, size.d};
    const Numbers x = RandomNumbers(size.n * size.d, 12);
    const Numbers weights = RandomNumbers(size.n, 13);
    const std::vector<int32_t> targets =
        RandomIntegers(size.n, -1, static_cast<int32_t>(size.d) - 1, 14);
    const Numbers log_p = Softmax(size, x, true);
    Numbers losses(size.n, 0.0);
    Numbers gradient(x.size(), 0.0);
    for (int64_t i = 0; i < size.n; ++i) {
      if (targets[i] < 0) continue;
      losses[i] = -weights[i] * log_p[i * size.d + targets[i]];
      for (int64_t j = 0; j < size.d; ++j) {
        const double p = std::exp(log_p[i * size.d + j]);
        gradient[i * size.d + j] = 0.25 * weights[i] * (p - (j == targets[i] ? 1 : 0));
      }
    }
    Check(
        [&](Device& on, DType type) {
          const Tensor logits = Put(on, shape, x, type, Placement::kGapped);
          const Tensor out = Tensor::Empty(on, {size.n}, type);
          const Tensor again = Tensor::Empty(on, {size.n}, type);
          const Tensor rows = PutIntegers(on, {size.n}, targets);
          const Tensor factors = Put(on, {size.n}, weights, type);
          on.loss().CrossEntropy(logits, rows, factors, 0, again);
          on.loss().CrossEntropy(logits, rows, factors, 0.25, out);
          return std::vector{out, again, logits};
        },
        {losses, losses, gradient});
  }
}

}  // namespace
}  // namespace trainyard
