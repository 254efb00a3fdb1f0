#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/kernels/matmul_kernels.h"
#include "tests/core/tensor/host_tensors.h"

namespace trainyard {
namespace {

double Activated(Activation activation, double x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kSquaredRelu:
      return x > 0 ? x * x : 0;
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kGelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::kTanh:
      return std::tanh(x);
  }
  return 0;
}

// Makes every test for one and two threads, in both types.
class MatmulTest : public testing::TestWithParam<std::tuple<int, DType>> {
 protected:
  Tensor Random(const Shape& shape, uint64_t seed) {
    return RandomTensor(device_, shape, type_, seed);
  }

  // Runs the product on [batch, rows, columns] and compares with sums in double; `arguments.out`
  // holds what is added to.
  void ExpectProduct(const MatmulArguments& arguments) {
    const Tensor& out = arguments.out;
    const int64_t m = out.size(1);
    const int64_t n = out.size(2);
    const int64_t k = arguments.a.size(2);
    const std::vector<double> a = Doubles(arguments.a);
    // Rows are the columns of b.
    const std::vector<double> b = Doubles(arguments.b.Transposed());
    const std::vector<double> bias =
        arguments.bias.defined() ? Doubles(arguments.bias) : std::vector<double>(n);
    const std::vector<double> before =
        arguments.accumulate ? Doubles(out) : std::vector<double>(out.elements());
    device_.matmul().Matmul(arguments);
    const std::vector<double> values = Doubles(out);
    const std::vector<double> pre =
        arguments.pre_activation.defined() ? Doubles(arguments.pre_activation) : values;
    const double tolerance = type_ == DType::kFloat64 ? 1e-14 : 2e-6;
    for (int64_t at = 0; at < out.elements(); ++at) {
      const int64_t column = at % n;
      const double* const left = a.data() + at / n * k;
      const double* const right = b.data() + (at / (n * m) * n + column) * k;
      double sum = 0;
      double magnitude = 1e-6;
      for (int64_t t = 0; t < k; ++t) {
        sum += left[t] * right[t];
        magnitude += std::abs(left[t] * right[t]);
      }
      sum = arguments.alpha * sum + bias[column] + before[at];
      // Squares double the relative error and have a slope of 2 x.
      const double scale = (magnitude + std::abs(sum)) * (1 + 2 * std::abs(sum));
      ASSERT_NEAR(values[at], Activated(arguments.activation, sum), tolerance * scale) << at;
      if (arguments.pre_activation.defined()) {
        ASSERT_NEAR(pre[at], sum, tolerance * scale) << at;
      }
    }
  }

  const DType type_ = std::get<1>(GetParam());
  CpuDevice device_{std::get<0>(GetParam())};
};

INSTANTIATE_TEST_SUITE_P(All, MatmulTest,
                         testing::Combine(testing::Values(1, 2),
                                          testing::Values(DType::kFloat32, DType::kFloat64)));

TEST_P(MatmulTest, PlainAndTransposedViewsOfAnySize) {
  for (const auto& [batch, m, n, k] : {std::tuple<int64_t, int64_t, int64_t, int64_t>{1, 1, 1, 1},
                                       {1, 3, 5, 7},
                                       {2, 64, 48, 33},
                                       {5, 31, 29, 3},
                                       {1, 290, 131, 113},
                                       {1, 131, 290, 113},
                                       {1, 1, 300, 200},
                                       {1, 300, 1, 200},
                                       {3, 150, 120, 100},
                                       {4, 2, 3, 1}}) {
    for (const bool transpose_a : {false, true}) {
      for (const bool transpose_b : {false, true}) {
        SCOPED_TRACE(testing::Message() << batch << " x " << m << " x " << n << " x " << k << " "
                                        << transpose_a << transpose_b);
        MatmulArguments arguments;
        arguments.a =
            transpose_a ? Random({batch, k, m}, 1).Transposed() : Random({batch, m, k}, 1);
        arguments.b =
            transpose_b ? Random({batch, n, k}, 2).Transposed() : Random({batch, k, n}, 2);
        arguments.out = Random({batch, m, n}, 3);
        arguments.alpha = 0.75;
        ExpectProduct(arguments);
        arguments.accumulate = true;
        ExpectProduct(arguments);
      }
    }
  }
}

TEST_P(MatmulTest, BiasActivationAndWhatTheBackwardPassNeeds) {
  for (const Activation activation :
       {Activation::kNone, Activation::kRelu, Activation::kSquaredRelu, Activation::kSilu,
        Activation::kGelu, Activation::kSigmoid, Activation::kTanh}) {
    for (const auto& [m, n] : {std::pair<int64_t, int64_t>{5, 3}, {290, 231}, {231, 290}}) {
      if (m == 231 && activation != Activation::kRelu) continue;
      SCOPED_TRACE(testing::Message() << static_cast<int>(activation) << " " << m << " x " << n);
      MatmulArguments arguments;
      arguments.a = Random({1, m, 65}, 1);
      arguments.b = Random({1, 65, n}, 2);
      arguments.out = Random({1, m, n}, 3);
      arguments.bias = Random({n}, 4);
      arguments.activation = activation;
      arguments.alpha = 0.125;
      ExpectProduct(arguments);
      arguments.pre_activation = Random({1, m, n}, 5);
      ExpectProduct(arguments);
      arguments.bias = Tensor();
      ExpectProduct(arguments);
    }
  }
}

TEST_P(MatmulTest, SlicesOfLargerTensors) {
  MatmulArguments arguments;
  arguments.a = Random({3, 160, 110}, 1).Slice(2, 5, 91).Slice(1, 2, 140);
  arguments.b = Random({3, 100, 199}, 2).Slice(2, 7, 167).Slice(1, 9, 91);
  const Tensor whole = Random({3, 145, 180}, 3);
  const Tensor before = CopyOf(whole);
  arguments.out = whole.Slice(2, 4, 167).Slice(1, 3, 140);
  arguments.pre_activation = Random({3, 140, 170}, 4).Slice(2, 1, 167);
  arguments.bias = Random({167}, 5);
  ExpectProduct(arguments);
  // Nothing around the slice was written to.
  for (int64_t batch = 0; batch < 3; ++batch) {
    for (int64_t i = 0; i < 145; ++i) {
      for (int64_t j = 0; j < 180; ++j) {
        if (i >= 3 && i < 143 && j >= 4 && j < 171) continue;
        ASSERT_EQ(At(whole, {batch, i, j}), At(before, {batch, i, j}));
      }
    }
  }
}

TEST_P(MatmulTest, RepeatedMatricesOfABatch) {
  const Tensor a = Random({6, 40, 50}, 1);
  const Tensor b = Random({50, 60}, 2);
  MatmulArguments arguments;
  arguments.a = a;
  arguments.b = b.BroadcastTo({6, 50, 60});
  arguments.out = Random({6, 40, 60}, 3);
  arguments.pre_activation = Random({6, 40, 60}, 3);
  ExpectProduct(arguments);
  // Not to be joined: the output has gaps between its matrices.
  arguments.pre_activation = Tensor();
  arguments.out = Random({6, 44, 60}, 4).Slice(1, 0, 40);
  ExpectProduct(arguments);
  arguments.a = Random({40, 50}, 5).BroadcastTo({6, 40, 50});
  arguments.b = Random({6, 50, 60}, 6);
  ExpectProduct(arguments);
  // One row each, so that rows of the batch make one matrix.
  arguments.a = Random({6, 1, 50}, 7);
  arguments.b = b.BroadcastTo({6, 50, 60});
  arguments.out = Random({6, 1, 60}, 8);
  ExpectProduct(arguments);
}

TEST_P(MatmulTest, BatchesOfSeveralDimensionsInAnyOrder) {
  // Heads as attention sees them: views of [batch, n, heads * size].
  const Tensor q = Random({2, 9, 3 * 8}, 1);
  const Tensor k = Random({2, 11, 3 * 8}, 2);
  MatmulArguments arguments;
  arguments.a = q.View({2, 9, 3, 8}).Permuted({0, 2, 1, 3});
  arguments.b = k.View({2, 11, 3, 8}).Permuted({0, 2, 3, 1});
  arguments.out = Random({2, 3, 9, 11}, 3);
  device_.matmul().Matmul(arguments);
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t h = 0; h < 3; ++h) {
      for (int64_t i = 0; i < 9; ++i) {
        for (int64_t j = 0; j < 11; ++j) {
          double sum = 0;
          for (int64_t t = 0; t < 8; ++t)
            sum += At(q, {b, i, h * 8 + t}) * At(k, {b, j, h * 8 + t});
          ASSERT_NEAR(At(arguments.out, {b, h, i, j}), sum, 1e-5);
        }
      }
    }
  }
}

TEST_P(MatmulTest, EmptySumsGiveZeroOrBias) {
  MatmulArguments arguments;
  arguments.a = Random({2, 3, 0}, 1);
  arguments.b = Random({2, 0, 5}, 2);
  arguments.out = Random({2, 3, 5}, 3);
  ExpectProduct(arguments);
  arguments.bias = Random({5}, 4);
  ExpectProduct(arguments);
  arguments.bias = Tensor();
  arguments.accumulate = true;
  ExpectProduct(arguments);
}

TEST_P(MatmulTest, NoElementsNoWork) {
  for (const auto& [batch, m, n] :
       {std::tuple<int64_t, int64_t, int64_t>{0, 3, 5}, {2, 0, 5}, {2, 3, 0}}) {
    MatmulArguments arguments;
    arguments.a = Random({batch, m, 4}, 1);
    arguments.b = Random({batch, 4, n}, 2);
    arguments.out = Random({batch, m, n}, 3);
    ExpectProduct(arguments);
  }
}

TEST_P(MatmulTest, RepeatsItsBits) {
  MatmulArguments arguments;
  arguments.a = Random({1, 211, 190}, 1);
  arguments.b = Random({1, 190, 305}, 2);
  arguments.out = Random({1, 211, 305}, 3);
  device_.matmul().Matmul(arguments);
  const Tensor first = CopyOf(arguments.out);
  for (int repetition = 0; repetition < 20; ++repetition) {
    device_.matmul().Matmul(arguments);
    ASSERT_EQ(std::memcmp(first.raw_data(), arguments.out.raw_data(), first.bytes()), 0);
  }
}

}  // namespace
}  // namespace trainyard
