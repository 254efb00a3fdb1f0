// Against formulas in double; gradients by their closed forms.
#include "core/tensor/kernels/loss_kernels.h"
#include "tests/core/tensor/kernel_test.h"

namespace trainyard {
namespace {

// Log-probabilities of rows of d.
std::vector<double> LogSoftmax(const std::vector<double>& x, int64_t d) {
  std::vector<double> y = x;
  for (size_t i = 0; i < x.size(); i += d) {
    const double maximum = *std::max_element(x.begin() + i, x.begin() + i + d);
    double sum = 0;
    for (int64_t j = 0; j < d; ++j) sum += std::exp(x[i + j] - maximum);
    for (int64_t j = 0; j < d; ++j) y[i + j] = x[i + j] - maximum - std::log(sum);
  }
  return y;
}

std::vector<double> Exp(std::vector<double> values) {
  for (double& value : values) value = std::exp(value);
  return values;
}

class LossTest : public KernelTest {
 protected:
  // Rows with a stride that is larger than d, some with large numbers.
  Tensor Rows(int64_t n, int64_t d, uint64_t seed) {
    const Tensor rows = Random({n, d + 3}, seed).Slice(1, 1, d);
    for (int64_t j = 0; j < d && n > 2; ++j) SetAt(rows, d + j, At(rows, {1, j}) * 20 - 300);
    return rows;
  }
};
TRAINYARD_INSTANTIATE_KERNEL_TEST(LossTest);

constexpr std::pair<int64_t, int64_t> kSizes[] = {{1, 1}, {3, 5}, {40, 67}, {500, 33}, {3, 9001}};

TEST_P(LossTest, SoftmaxAndItsGradient) {
  for (const auto& [n, d] : kSizes) {
    SCOPED_TRACE(testing::Message() << n << " x " << d);
    const Tensor x = Rows(n, d, 1);
    const Tensor y = Rows(n, d, 2);
    const std::vector<double> expected = Exp(LogSoftmax(Doubles(x), d));
    device_.loss().Softmax(x, y);
    ExpectNear(y, expected, 3 * tolerance(), 0.1);
    const Tensor dy = Rows(n, d, 3);
    const Tensor dx = Rows(n, d, 4);
    const std::vector<double> gradients = Doubles(dy);
    std::vector<double> slopes = Doubles(dx);
    for (int64_t i = 0; i < n; ++i) {
      double dot = 0;
      for (int64_t j = 0; j < d; ++j) dot += gradients[i * d + j] * expected[i * d + j];
      for (int64_t j = 0; j < d; ++j) {
        slopes[i * d + j] += expected[i * d + j] * (gradients[i * d + j] - dot);
      }
    }
    device_.loss().SoftmaxBackward(y, dy, dx, /*accumulate=*/true);
    ExpectNear(dx, slopes, 10 * tolerance(), 300);
    device_.loss().Softmax(x, x);
    EXPECT_EQ(Doubles(x), Doubles(y));
  }
}

TEST_P(LossTest, LogSoftmaxAndItsGradient) {
  for (const auto& [n, d] : kSizes) {
    SCOPED_TRACE(testing::Message() << n << " x " << d);
    const Tensor x = Rows(n, d, 1);
    const Tensor y = Rows(n, d, 2);
    const std::vector<double> expected = LogSoftmax(Doubles(x), d);
    device_.loss().LogSoftmax(x, y);
    // Large inputs cancel.
    ExpectNear(y, expected, tolerance(), 300);
    const Tensor dy = Random({n, d}, 3);
    const Tensor dx = Random({n, d}, 4);
    const std::vector<double> gradients = Doubles(dy);
    std::vector<double> slopes = Doubles(dx);
    for (int64_t i = 0; i < n; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < d; ++j) sum += gradients[i * d + j];
      for (int64_t j = 0; j < d; ++j) {
        slopes[i * d + j] += gradients[i * d + j] - std::exp(expected[i * d + j]) * sum;
      }
    }
    device_.loss().LogSoftmaxBackward(y, dy, dx, /*accumulate=*/true);
    ExpectNear(dx, slopes, 100 * tolerance());
  }
}

TEST_P(LossTest, CrossEntropyAndItsGradientInPlace) {
  for (const auto& [n, d] : kSizes) {
    for (const bool weighted : {false, true}) {
      SCOPED_TRACE(testing::Message() << n << " x " << d);
      const Tensor logits = Rows(n, d, 1);
      const std::vector<double> before = Doubles(logits);
      std::vector<int32_t> targets;
      for (int64_t i = 0; i < n; ++i) {
        targets.push_back(i % 5 == 4 ? -1 : static_cast<int32_t>((i * 31 + 7) % d));
      }
      const Tensor weights = weighted ? Random({n}, 5) : Tensor();
      const Tensor losses = Random({n}, 6);
      const std::vector<double> logs = LogSoftmax(before, d);
      std::vector<double> expected;
      std::vector<double> gradients;
      for (int64_t i = 0; i < n; ++i) {
        const double weight = targets[i] < 0 ? 0 : weighted ? At(weights, {i}) : 1;
        expected.push_back(targets[i] < 0 ? 0 : -weight * logs[i * d + targets[i]]);
        for (int64_t j = 0; j < d; ++j) {
          gradients.push_back(0.25 * weight *
                              (std::exp(logs[i * d + j]) - (j == targets[i] ? 1 : 0)));
        }
      }
      const Tensor classes = Integers({n}, targets);
      device_.loss().CrossEntropy(logits, classes, weights, /*gradient_scale=*/0, losses);
      ExpectNear(losses, expected, tolerance());
      EXPECT_EQ(Doubles(logits), before);
      device_.loss().CrossEntropy(logits, classes, weights, 0.25, losses);
      ExpectNear(losses, expected, tolerance());
      ExpectNear(logits, gradients, 2 * tolerance());
    }
  }
}

TEST_P(LossTest, WeightsOfMinusInfinityAreImpossible) {
  const double infinity = std::numeric_limits<double>::infinity();
  const Tensor x = Of({1, 3}, {-infinity, 1, -infinity});
  const Tensor y = Random({1, 3}, 1);
  device_.loss().Softmax(x, y);
  EXPECT_EQ(Doubles(y), (std::vector<double>{0, 1, 0}));
}

}  // namespace
}  // namespace trainyard
