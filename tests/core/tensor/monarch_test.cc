#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/kernels/structured_kernels.h"
#include "tests/core/tensor/host_tensors.h"

namespace trainyard {
namespace {

struct Case {
  int64_t rows;
  int64_t in;
  int64_t out;
  int64_t first_blocks;
  int64_t q;
  int64_t p;
  int64_t second_blocks;
  int64_t s;
  int64_t r;
};

// The shape of a layer with `blocks` blocks.
Case Layer(int64_t rows, int64_t in, int64_t out, int64_t blocks) {
  const int64_t p = (in + blocks - 1) / blocks;
  const int64_t s = (out + blocks - 1) / blocks;
  const int64_t q = std::min(p, s);
  return {rows, in, out, blocks, q, p, blocks, s, q};
}

// Sizes that blocks do not divide, slices that are 0, different numbers of blocks, one row, many
// blocks, large blocks, blocks without an input.
std::vector<Case> Cases() {
  return {Layer(5, 10, 7, 4),
          Layer(3, 784, 10, 4),
          Layer(9, 50, 30, 4),
          Layer(7, 30, 50, 8),
          Layer(1, 64, 64, 8),
          Layer(100, 256, 256, 16),
          Layer(97, 320, 350, 32),
          Layer(130, 100, 90, 20),
          Layer(20, 33, 29, 3),
          Layer(2, 12, 12, 1),
          Layer(6, 5, 8, 4),
          {11, 24, 20, 6, 8, 4, 3, 7, 16},
          {150, 60, 70, 4, 17, 15, 34, 3, 2}};
}

using Matrix = std::vector<double>;

// M, out x in, entry by entry from the definition: the sum over the middle of w2 and w1.
Matrix Dense(const Case& c, const MonarchArguments& arguments) {
  Matrix m(c.out * c.in);
  for (int64_t row = 0; row < c.out; ++row) {
    const int64_t l = row % c.second_blocks;
    for (int64_t column = 0; column < c.in; ++column) {
      const int64_t k = column / c.p;
      for (int64_t a = 0; a < c.q; ++a) {
        const int64_t middle = k * c.q + a;
        if (middle % c.second_blocks != l) continue;
        m[row * c.in + column] +=
            At(arguments.w2, {l, row / c.second_blocks, middle / c.second_blocks}) *
            At(arguments.w1, {k, a, column % c.p});
      }
    }
  }
  return m;
}

// x M' + bias.
Matrix Apply(const Case& c, const Matrix& m, const MonarchArguments& arguments) {
  Matrix y(c.rows * c.out);
  const Matrix x = Doubles(arguments.x);
  for (int64_t i = 0; i < c.rows; ++i) {
    for (int64_t j = 0; j < c.out; ++j) {
      double sum = arguments.bias.defined() ? At(arguments.bias, {j}) : 0;
      for (int64_t t = 0; t < c.in; ++t) sum += x[i * c.in + t] * m[j * c.in + t];
      y[i * c.out + j] = sum;
    }
  }
  return y;
}

// Every case for one and two threads, in both types.
class MonarchTest : public testing::TestWithParam<std::tuple<int, DType>> {
 protected:
  MonarchArguments Make(const Case& c, bool bias) {
    MonarchArguments arguments;
    arguments.x = RandomTensor(device_, {c.rows, c.in}, type_, 1);
    arguments.w1 = RandomTensor(device_, {c.first_blocks, c.q, c.p}, type_, 2);
    arguments.w2 = RandomTensor(device_, {c.second_blocks, c.s, c.r}, type_, 3);
    if (bias) arguments.bias = RandomTensor(device_, {c.out}, type_, 4);
    arguments.h = RandomTensor(device_, {c.rows, c.first_blocks * c.q}, type_, 5);
    arguments.y = RandomTensor(device_, {c.rows, c.out}, type_, 6);
    return arguments;
  }

  MonarchGradients MakeGradients(const Case& c, const MonarchArguments& arguments) {
    MonarchGradients gradients;
    gradients.dy = RandomTensor(device_, {c.rows, c.out}, type_, 7);
    gradients.dx = RandomTensor(device_, {c.rows, c.in}, type_, 8);
    gradients.dw1 = RandomTensor(device_, arguments.w1.shape(), type_, 9);
    gradients.dw2 = RandomTensor(device_, arguments.w2.shape(), type_, 10);
    gradients.dbias = RandomTensor(device_, {c.out}, type_, 11);
    return gradients;
  }

  void ExpectNear(const Tensor& tensor, const Matrix& expected) {
    double largest = 1;
    for (const double value : expected) largest = std::max(largest, std::abs(value));
    const Matrix values = Doubles(tensor);
    ASSERT_EQ(values.size(), expected.size());
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(values[i], expected[i], largest * (type_ == DType::kFloat64 ? 1e-12 : 1e-5)) << i;
    }
  }

  const DType type_ = std::get<1>(GetParam());
  CpuDevice device_{std::get<0>(GetParam())};
};

INSTANTIATE_TEST_SUITE_P(All, MonarchTest,
                         testing::Combine(testing::Values(1, 2),
                                          testing::Values(DType::kFloat32, DType::kFloat64)));

TEST_P(MonarchTest, AgreesWithTheDenseMatrix) {
  for (const Case& c : Cases()) {
    for (const bool bias : {true, false}) {
      SCOPED_TRACE(testing::Message() << c.rows << ": " << c.in << " -> " << c.out << ", "
                                      << c.first_blocks << " and " << c.second_blocks);
      const MonarchArguments arguments = Make(c, bias);
      device_.structured().Monarch(arguments);
      ExpectNear(arguments.y, Apply(c, Dense(c, arguments), arguments));
    }
  }
}

// dx = dy M; the gradients of the factors follow from that of M, dM = dy' x, by the derivative of
// Dense.
TEST_P(MonarchTest, GradientsFollowFromThoseOfTheDenseMatrix) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(testing::Message() << c.rows << ": " << c.in << " -> " << c.out << ", "
                                    << c.first_blocks << " and " << c.second_blocks);
    const MonarchArguments arguments = Make(c, true);
    MonarchGradients gradients = MakeGradients(c, arguments);
    gradients.accumulate_dx = c.rows % 2 == 0;
    const Matrix m = Dense(c, arguments);
    const Matrix x = Doubles(arguments.x);
    const Matrix dy = Doubles(gradients.dy);
    Matrix dx = gradients.accumulate_dx ? Doubles(gradients.dx) : Matrix(x.size());
    Matrix dw1 = Doubles(gradients.dw1);
    Matrix dw2 = Doubles(gradients.dw2);
    Matrix dbias = Doubles(gradients.dbias);
    for (int64_t row = 0; row < c.out; ++row) {
      for (int64_t i = 0; i < c.rows; ++i) dbias[row] += dy[i * c.out + row];
      const int64_t l = row % c.second_blocks;
      const int64_t u = row / c.second_blocks;
      for (int64_t column = 0; column < c.in; ++column) {
        double dm = 0;
        for (int64_t i = 0; i < c.rows; ++i) {
          dm += dy[i * c.out + row] * x[i * c.in + column];
          dx[i * c.in + column] += dy[i * c.out + row] * m[row * c.in + column];
        }
        const int64_t k = column / c.p;
        for (int64_t a = 0; a < c.q; ++a) {
          const int64_t middle = k * c.q + a;
          if (middle % c.second_blocks != l) continue;
          const int64_t t = middle / c.second_blocks;
          dw2[(l * c.s + u) * c.r + t] += dm * At(arguments.w1, {k, a, column % c.p});
          dw1[middle * c.p + column % c.p] += dm * At(arguments.w2, {l, u, t});
        }
      }
    }
    device_.structured().Monarch(arguments);
    device_.structured().MonarchBackward(arguments, gradients);
    ExpectNear(gradients.dx, dx);
    ExpectNear(gradients.dw1, dw1);
    ExpectNear(gradients.dw2, dw2);
    ExpectNear(gradients.dbias, dbias);
  }
}

TEST_P(MonarchTest, GradientsThatNobodyWantsAreLeftOut) {
  const Case c = Layer(9, 40, 36, 4);
  const MonarchArguments arguments = Make(c, true);
  device_.structured().Monarch(arguments);
  const MonarchGradients all = MakeGradients(c, arguments);
  device_.structured().MonarchBackward(arguments, all);
  for (int which = 0; which < 4; ++which) {
    MonarchGradients one = MakeGradients(c, arguments);
    if (which != 0) one.dx = Tensor();
    if (which != 1) one.dw1 = Tensor();
    if (which != 2) one.dw2 = Tensor();
    if (which != 3) one.dbias = Tensor();
    device_.structured().MonarchBackward(arguments, one);
    const std::pair<Tensor, Tensor> pairs[] = {
        {one.dx, all.dx}, {one.dw1, all.dw1}, {one.dw2, all.dw2}, {one.dbias, all.dbias}};
    EXPECT_EQ(Doubles(pairs[which].first), Doubles(pairs[which].second));
  }
}

TEST_P(MonarchTest, NoRowsNoWork) {
  const Case c = Layer(0, 40, 36, 4);
  const MonarchArguments arguments = Make(c, true);
  device_.structured().Monarch(arguments);
  const MonarchGradients gradients = MakeGradients(c, arguments);
  const Matrix before = Doubles(gradients.dw1);
  device_.structured().MonarchBackward(arguments, gradients);
  EXPECT_EQ(Doubles(gradients.dw1), before);
}

TEST_P(MonarchTest, RepeatsItsBits) {
  const Case c = Layer(150, 256, 256, 16);
  const MonarchArguments arguments = Make(c, true);
  Matrix first;
  for (int repetition = 0; repetition < 10; ++repetition) {
    const MonarchGradients gradients = MakeGradients(c, arguments);
    device_.structured().Monarch(arguments);
    device_.structured().MonarchBackward(arguments, gradients);
    Matrix values = Doubles(arguments.y);
    for (const Tensor& tensor : {gradients.dx, gradients.dw1, gradients.dw2, gradients.dbias}) {
      const Matrix more = Doubles(tensor);
      values.insert(values.end(), more.begin(), more.end());
    }
    if (first.empty()) first = values;
    ASSERT_EQ(values, first);
  }
}

// In double: every gradient against central differences of the loss sum(g * y).
TEST(MonarchDifferencesTest, GradientsAgreeWithCentralDifferences) {
  CpuDevice device(2);
  const Case c = {3, 11, 10, 4, 6, 3, 3, 4, 8};
  const auto random = [&](const Shape& shape, uint64_t seed) {
    return RandomTensor(device, shape, DType::kFloat64, seed);
  };
  MonarchArguments arguments{.x = random({c.rows, c.in}, 1),
                             .w1 = random({c.first_blocks, c.q, c.p}, 2),
                             .w2 = random({c.second_blocks, c.s, c.r}, 3),
                             .bias = random({c.out}, 4),
                             .h = random({c.rows, c.first_blocks * c.q}, 5),
                             .y = random({c.rows, c.out}, 6)};
  const Tensor dy = random({c.rows, c.out}, 7);
  const auto zeros = [&](const Tensor& like) {
    return Tensor::FromValues<double>(device, like.shape(), std::vector<double>(like.elements()));
  };
  const MonarchGradients gradients{.dy = dy,
                                   .dx = zeros(arguments.x),
                                   .dw1 = zeros(arguments.w1),
                                   .dw2 = zeros(arguments.w2),
                                   .dbias = zeros(arguments.bias)};
  device.structured().Monarch(arguments);
  device.structured().MonarchBackward(arguments, gradients);
  const auto loss = [&] {
    device.structured().Monarch(arguments);
    double sum = 0;
    for (int64_t i = 0; i < dy.elements(); ++i) {
      sum += dy.data<double>()[i] * arguments.y.data<double>()[i];
    }
    return sum;
  };
  const std::pair<Tensor, Tensor> pairs[] = {{arguments.x, gradients.dx},
                                             {arguments.w1, gradients.dw1},
                                             {arguments.w2, gradients.dw2},
                                             {arguments.bias, gradients.dbias}};
  for (const auto& [values, gradient] : pairs) {
    for (int64_t i = 0; i < values.elements(); ++i) {
      double& value = values.data<double>()[i];
      const double before = value;
      constexpr double kStep = 1e-5;
      value = before + kStep;
      const double above = loss();
      value = before - kStep;
      const double below = loss();
      value = before;
      EXPECT_NEAR(gradient.data<double>()[i], (above - below) / (2 * kStep), 1e-7);
    }
  }
}

}  // namespace
}  // namespace trainyard
