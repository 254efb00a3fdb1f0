// The products against plain loops in extended precision.
#include "core/algorithms/convex_relu/cpu_pattern_operator.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/core/algorithms/convex_relu/random_products.h"

namespace trainyard::convex_relu {
namespace {

struct Shape {
  int64_t rows;
  int features;
  int64_t patterns;
  int outputs;
};

constexpr Shape kShapes[] = {
    {1, 1, 1, 1},       {7, 1, 3, 2},      {64, 8, 64, 1},     {65, 9, 65, 3},    {100, 16, 500, 1},
    {333, 13, 40, 10},  {1000, 24, 7, 5},  {500, 37, 97, 2},   {4500, 5, 130, 1}, {9000, 17, 11, 3},
    {700, 50, 4200, 1}, {130, 784, 70, 1}, {129, 20, 4500, 2}, {20000, 3, 20, 1},
};

std::string NameOf(const Shape& shape) {
  return absl::StrCat("n", shape.rows, "_d", shape.features, "_P", shape.patterns, "_c",
                      shape.outputs);
}

// A gated layer with its weights and residuals, and what its products are.
template <typename Real>
class Layer {
 public:
  // A share of the blocks of weights is zero.
  Layer(const Shape& shape, double zeros)
      : shape_(shape),
        rng_(static_cast<uint64_t>(shape.rows), static_cast<uint64_t>(shape.patterns)),
        data_(RandomMatrix<Real>(shape.rows, shape.features, rng_)),
        columns_(RandomColumns(shape.rows, shape.patterns, rng_)),
        weights_(shape.outputs * shape.patterns * data_.stride()),
        residuals_(shape.outputs * shape.rows) {
    for (int64_t p = 0; p < shape.patterns; ++p) {
      if (rng_.NextDouble() < zeros) continue;
      for (int o = 0; o < shape.outputs; ++o) {
        Real* const block = weights_.data() + (o * shape.patterns + p) * data_.stride();
        for (int i = 0; i < shape.features; ++i) block[i] = static_cast<Real>(rng_.NextGaussian());
      }
    }
    for (Real& r : residuals_.span()) r = static_cast<Real>(rng_.NextGaussian());
  }

  CpuPatternOperator<Real> Operator(ThreadPool& pool,
                                    InstructionSet set = FastestInstructionSet()) const {
    return CpuPatternOperator<Real>(data_, BitMatrix(shape_.rows, columns_, pool), pool, set);
  }

  bool Active(int64_t row, int64_t p) const {
    const int64_t word = p * BitBlocks(shape_.rows) + row / 64;
    return (columns_[static_cast<size_t>(word)] >> (row % 64) & 1) != 0;
  }

  std::vector<double> ExpectedPredictions() const {
    std::vector<double> z;
    for (int o = 0; o < shape_.outputs; ++o) {
      for (int64_t j = 0; j < shape_.rows; ++j) {
        long double sum = 0;
        for (int64_t p = 0; p < shape_.patterns; ++p) {
          if (!Active(j, p)) continue;
          const Real* const u = weights_.data() + (o * shape_.patterns + p) * data_.stride();
          for (int i = 0; i < shape_.features; ++i) {
            sum += static_cast<long double>(u[i]) * static_cast<long double>(data_.row(j)[i]);
          }
        }
        z.push_back(static_cast<double>(sum));
      }
    }
    return z;
  }

  // With the padding.
  std::vector<double> ExpectedGradient() const {
    std::vector<double> gradient;
    std::vector<long double> sums(static_cast<size_t>(data_.stride()));
    for (int o = 0; o < shape_.outputs; ++o) {
      for (int64_t p = 0; p < shape_.patterns; ++p) {
        std::fill(sums.begin(), sums.end(), 0);
        for (int64_t j = 0; j < shape_.rows; ++j) {
          if (!Active(j, p)) continue;
          const auto r = static_cast<long double>(residuals_[o * shape_.rows + j]);
          for (size_t i = 0; i < sums.size(); ++i) {
            sums[i] += r * static_cast<long double>(data_.row(j)[i]);
          }
        }
        for (const long double sum : sums) gradient.push_back(static_cast<double>(sum));
      }
    }
    return gradient;
  }

  AlignedArray<Real> Predictions(PatternOperator<Real>& op) const {
    AlignedArray<Real> z(shape_.outputs * shape_.rows);
    std::fill(z.span().begin(), z.span().end(), Real{77});
    op.Forward(shape_.outputs, weights_.data(), z.data());
    return z;
  }
  AlignedArray<Real> Gradient(PatternOperator<Real>& op) const {
    AlignedArray<Real> gradient(shape_.outputs * op.patterns() * op.stride());
    std::fill(gradient.span().begin(), gradient.span().end(), Real{77});
    op.Adjoint(shape_.outputs, residuals_.data(), gradient.data());
    return gradient;
  }
  AlignedArray<double> Norms(PatternOperator<Real>& op) const {
    AlignedArray<double> norms(shape_.outputs * op.patterns());
    std::fill(norms.span().begin(), norms.span().end(), 77);
    op.AdjointNorms(shape_.outputs, residuals_.data(), norms.data());
    return norms;
  }

  const AlignedArray<Real>& weights() const { return weights_; }
  const AlignedArray<Real>& residuals() const { return residuals_; }
  int stride() const { return data_.stride(); }

 private:
  Shape shape_;
  Rng rng_;
  PaddedMatrix<Real> data_;
  std::vector<uint64_t> columns_;
  AlignedArray<Real> weights_;
  AlignedArray<Real> residuals_;
};

// Rounding errors of a sum of normal terms grow with its standard deviation, the root of the number
// of terms, and with the depth of the additions.
template <typename Real>
double Tolerance(double terms) {
  return 16 * static_cast<double>(std::numeric_limits<Real>::epsilon()) * std::sqrt(terms + 16);
}

template <typename Real>
void ExpectNear(const AlignedArray<Real>& actual, const std::vector<double>& expected,
                double tolerance) {
  ASSERT_EQ(actual.size(), static_cast<int64_t>(expected.size()));
  for (int64_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(actual[i]), expected[static_cast<size_t>(i)], tolerance)
        << "at " << i;
  }
}

template <typename Real>
std::vector<double> NormsOf(const std::vector<double>& gradient, int stride) {
  std::vector<double> norms;
  for (size_t begin = 0; begin < gradient.size(); begin += static_cast<size_t>(stride)) {
    double sum = 0;
    for (size_t i = begin; i < begin + static_cast<size_t>(stride); ++i) {
      sum += gradient[i] * gradient[i];
    }
    norms.push_back(std::sqrt(sum));
  }
  return norms;
}

template <typename Real>
class CpuPatternOperatorTest : public testing::Test {};
using Reals = testing::Types<float, double>;
TYPED_TEST_SUITE(CpuPatternOperatorTest, Reals);

TYPED_TEST(CpuPatternOperatorTest, ProductsAreThoseOfPlainLoops) {
  ThreadPool pool(2);
  for (const Shape& shape : kShapes) {
    for (const double zeros : {0.0, 0.3, 0.9, 1.0}) {
      SCOPED_TRACE(absl::StrCat(NameOf(shape), " zeros ", zeros));
      const Layer<TypeParam> layer(shape, zeros);
      CpuPatternOperator<TypeParam> op = layer.Operator(pool);
      const double width = shape.features;
      ExpectNear(layer.Predictions(op), layer.ExpectedPredictions(),
                 Tolerance<TypeParam>(static_cast<double>(shape.patterns) * width));
      if (zeros != 0) continue;
      const std::vector<double> gradient = layer.ExpectedGradient();
      const double tolerance = Tolerance<TypeParam>(static_cast<double>(shape.rows));
      ExpectNear(layer.Gradient(op), gradient, tolerance);
      ExpectNear(layer.Norms(op), NormsOf<TypeParam>(gradient, layer.stride()),
                 tolerance * std::sqrt(width));
    }
  }
}

// What a product gives with another instruction set or number of threads.
template <typename Real>
void ExpectSame(const AlignedArray<Real>& a, const AlignedArray<Real>& b) {
  ASSERT_EQ(a.size(), b.size());
  ASSERT_EQ(std::memcmp(a.data(), b.data(), static_cast<size_t>(a.size()) * sizeof(Real)), 0);
}

TYPED_TEST(CpuPatternOperatorTest, ResultsAreTheSameBitsForAnyThreadsAndInstructions) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(NameOf(shape));
    const Layer<TypeParam> layer(shape, 0.3);
    ThreadPool one(1);
    CpuPatternOperator<TypeParam> reference = layer.Operator(one, InstructionSet::kAvx2);
    for (const int threads : {1, 2, 5}) {
      ThreadPool pool(threads);
      CpuPatternOperator<TypeParam> op = layer.Operator(pool);
      ExpectSame(layer.Predictions(op), layer.Predictions(reference));
      ExpectSame(layer.Gradient(op), layer.Gradient(reference));
      ExpectSame(layer.Norms(op), layer.Norms(reference));
    }
  }
}

TYPED_TEST(CpuPatternOperatorTest, AdjointIsTheForwardProductsAdjoint) {
  ThreadPool pool(2);
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(NameOf(shape));
    const Layer<TypeParam> layer(shape, 0.2);
    CpuPatternOperator<TypeParam> op = layer.Operator(pool);
    const AlignedArray<TypeParam> z = layer.Predictions(op);
    const AlignedArray<TypeParam> gradient = layer.Gradient(op);
    double left = 0;
    double scale = 0;
    for (int64_t i = 0; i < z.size(); ++i) {
      const double term = static_cast<double>(z[i]) * static_cast<double>(layer.residuals()[i]);
      left += term;
      scale += std::abs(term);
    }
    double right = 0;
    for (int64_t i = 0; i < gradient.size(); ++i) {
      right += static_cast<double>(gradient[i]) * static_cast<double>(layer.weights()[i]);
    }
    EXPECT_NEAR(left, right, scale * Tolerance<TypeParam>(static_cast<double>(shape.rows)));
  }
}

TYPED_TEST(CpuPatternOperatorTest, SelectionsAreThoseBlocks) {
  ThreadPool pool(2);
  const Shape shape = {700, 21, 150, 3};
  const Layer<TypeParam> layer(shape, 0);
  CpuPatternOperator<TypeParam> op = layer.Operator(pool);
  const std::vector<double> gradient = layer.ExpectedGradient();
  const int64_t stride = op.stride();
  for (const std::vector<int64_t>& chosen :
       {std::vector<int64_t>{149}, {3, 1, 77, 20}, {5, 5, 100}, {}}) {
    const std::unique_ptr<PatternOperator<TypeParam>> selected = op.Select(chosen);
    ASSERT_EQ(selected->patterns(), static_cast<int64_t>(chosen.size()));
    std::vector<double> expected;
    for (int o = 0; o < shape.outputs; ++o) {
      for (const int64_t p : chosen) {
        const double* const from = gradient.data() + (o * shape.patterns + p) * stride;
        expected.insert(expected.end(), from, from + stride);
      }
    }
    ExpectNear(layer.Gradient(*selected), expected, Tolerance<TypeParam>(700));
    ExpectNear(layer.Norms(*selected), NormsOf<TypeParam>(expected, op.stride()),
               Tolerance<TypeParam>(700 * 21));
  }
}

// Memory that calls share, and the bits kept for the blocks of weights that are not zero, must not
// show.
TYPED_TEST(CpuPatternOperatorTest, CallsDoNotDependOnEarlierOnes) {
  ThreadPool pool(2);
  const Shape shape = {3000, 30, 200, 2};
  const Layer<TypeParam> dense(shape, 0);
  const Layer<TypeParam> sparse(shape, 0.9);
  const Layer<TypeParam> sparser(shape, 0.97);
  CpuPatternOperator<TypeParam> op = dense.Operator(pool);
  const std::unique_ptr<PatternOperator<TypeParam>> selected =
      op.Select(std::vector<int64_t>{7, 150, 3});
  std::vector<AlignedArray<TypeParam>> alone;
  for (const auto* layer : {&sparse, &dense, &sparser}) {
    CpuPatternOperator<TypeParam> fresh = dense.Operator(pool);
    alone.push_back(layer->Predictions(fresh));
  }
  CpuPatternOperator<TypeParam> fresh = dense.Operator(pool);
  const AlignedArray<TypeParam> gradient =
      dense.Gradient(*fresh.Select(std::vector<int64_t>{7, 150, 3}));
  for (int repeat = 0; repeat < 2; ++repeat) {
    size_t i = 0;
    for (const auto* layer : {&sparse, &dense, &sparser}) {
      ExpectSame(layer->Predictions(op), alone[i++]);
      ExpectSame(dense.Gradient(*selected), gradient);
    }
  }
}

// Large sums with small differences: one block must not lose what another has.
TEST(CpuPatternOperatorAccuracyTest, ErrorsDoNotGrowWithTheRows) {
  ThreadPool pool(2);
  const int64_t rows = 200000;
  PaddedMatrix<float> data(rows, 1);
  for (int64_t row = 0; row < rows; ++row) data.row(row)[0] = 0.1F;
  const std::vector<uint64_t> columns(static_cast<size_t>(BitBlocks(rows)), ~uint64_t{0});
  CpuPatternOperator<float> op(data, BitMatrix(rows, columns, pool), pool);
  const std::vector<float> ones(static_cast<size_t>(rows), 1.0F);
  AlignedArray<float> gradient(op.stride());
  op.Adjoint(1, ones.data(), gradient.data());
  const double expected = static_cast<double>(rows) * static_cast<double>(0.1F);
  EXPECT_NEAR(static_cast<double>(gradient[0]), expected, 4e-6 * expected);
}

TEST(CpuPatternOperatorStopTest, ProductsAskAndEndAndGoOnAgain) {
  ThreadPool pool(2);
  Rng rng(1);
  const PaddedMatrix<double> data = RandomMatrix<double>(300, 20, rng);
  CpuPatternOperator<double> op(data, BitMatrix(300, RandomColumns(300, 100, rng), pool), pool);
  const std::unique_ptr<PatternOperator<double>> selected =
      op.Select(std::vector<int64_t>{1, 5, 70});
  std::vector<double> weights(static_cast<size_t>(100 * op.stride()), 0.5);
  std::vector<double> residuals(300, 1.0);
  std::vector<double> predictions(300);
  std::vector<double> first(static_cast<size_t>(3 * op.stride()));
  selected->Adjoint(1, residuals.data(), first.data());
  std::atomic<int64_t> asked = 0;
  op.StopWhen([&] {
    ++asked;
    return true;
  });
  std::vector<double> again(first.size());
  selected->Adjoint(1, residuals.data(), again.data());
  EXPECT_GT(asked, 0) << "selections are stopped, too";
  const int64_t before = asked;
  op.Forward(1, weights.data(), predictions.data());
  EXPECT_GT(asked, before);
  op.StopWhen(nullptr);
  selected->Adjoint(1, residuals.data(), again.data());
  EXPECT_EQ(first, again);
}

TEST(CpuPatternOperatorWorkTest, CountsTheOperationsOfDenseProducts) {
  ThreadPool pool(1);
  Rng rng(1);
  const PaddedMatrix<double> data = RandomMatrix<double>(90, 7, rng);
  CpuPatternOperator<double> op(data, BitMatrix(90, RandomColumns(90, 40, rng), pool), pool);
  std::vector<double> weights(static_cast<size_t>(2 * 40 * op.stride()), 0.0);
  for (int i = 0; i < 10; ++i) weights[static_cast<size_t>(i * op.stride())] = 1;
  std::vector<double> predictions(180);
  op.Forward(2, weights.data(), predictions.data());
  EXPECT_EQ(op.work().operations, 2.0 * 90 * 10 * 7 * 2) << "blocks of zeros do not count";
  std::vector<double> norms(40);
  op.Select(std::vector<int64_t>{3, 4})->AdjointNorms(1, predictions.data(), norms.data());
  EXPECT_EQ(op.work().operations, 2.0 * 90 * 10 * 7 * 2 + 2.0 * 90 * 2 * 7);
  EXPECT_GT(op.work().seconds, 0);
}

}  // namespace
}  // namespace trainyard::convex_relu
