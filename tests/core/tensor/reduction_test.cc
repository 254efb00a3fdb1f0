// Against loops in double over indices.
#include "core/tensor/kernels/reduction_kernels.h"
#include "tests/core/tensor/kernel_test.h"

namespace trainyard {
namespace {

class ReductionTest : public KernelTest {
 protected:
  // Reduces `in` to `out` element by element; `sizes` are the sums of absolute values.
  static std::vector<double> Expected(ReduceOp op, const Tensor& in, const Tensor& out,
                                      std::vector<double>& sizes) {
    const double infinity = std::numeric_limits<double>::infinity();
    const double start = op == ReduceOp::kSum ? 0 : op == ReduceOp::kMaximum ? -infinity : infinity;
    std::vector<double> expected(static_cast<size_t>(out.elements()), start);
    sizes.assign(expected.size(), 0);
    const std::vector<double> values = Doubles(in);
    for (int64_t i = 0; i < in.elements(); ++i) {
      int64_t rest = i;
      int64_t target = 0;
      int64_t step = 1;
      for (int axis = in.rank() - 1; axis >= 0; --axis) {
        const int64_t index = rest % in.size(axis);
        rest /= in.size(axis);
        if (out.size(axis) == in.size(axis)) target += index * step;
        step *= out.size(axis);
      }
      double& value = expected[target];
      sizes[target] += std::abs(values[i]);
      value = op == ReduceOp::kSum       ? value + values[i]
              : op == ReduceOp::kMaximum ? std::max(value, values[i])
                                         : std::min(value, values[i]);
    }
    return expected;
  }

  void ExpectReduced(ReduceOp op, const Tensor& in, const Tensor& out, double scale,
                     bool accumulate) {
    std::vector<double> sizes;
    std::vector<double> expected = Expected(op, in, out, sizes);
    const std::vector<double> before = Doubles(out);
    device_.reduction().Reduce(op, in, scale, out, accumulate);
    const std::vector<double> values = Doubles(out);
    for (size_t i = 0; i < expected.size(); ++i) {
      const double exact = scale * expected[i] + (accumulate ? before[i] : 0);
      const double size = 1 + std::abs(exact) + std::abs(scale) * sizes[i];
      ASSERT_NEAR(values[i], exact, (is_double() ? 1e-13 : 1e-6) * size) << i;
    }
  }
};
TRAINYARD_INSTANTIATE_KERNEL_TEST(ReductionTest);

TEST_P(ReductionTest, AnyDimensionsOfAnyLayout) {
  const Shape shape = {5, 7, 3, 33};
  for (const Layout layout : kAllLayouts) {
    for (int kept = 0; kept < 16; ++kept) {
      Shape result = shape;
      for (int axis = 0; axis < 4; ++axis) {
        if ((kept >> axis & 1) == 0) result.set_dim(axis, 1);
      }
      for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kMaximum, ReduceOp::kMinimum}) {
        SCOPED_TRACE(testing::Message()
                     << result.ToString() << " layout " << static_cast<int>(layout) << " op "
                     << static_cast<int>(op));
        ExpectReduced(op, Random(shape, 1, layout), Random(result, 2), 0.5, kept % 2 == 0);
      }
    }
  }
}

TEST_P(ReductionTest, ShapesThatAreCutIntoParts) {
  struct Case {
    Shape in;
    Shape out;
  };
  for (const Case& test :
       {Case{{200'001}, {1}}, Case{{3, 100'003}, {3, 1}}, Case{{300, 400}, {1, 400}},
        Case{{20'000, 3}, {1, 3}}, Case{{70, 3001}, {1, 3001}}, Case{{2, 600, 130}, {2, 1, 130}},
        Case{{100, 40, 41}, {100, 1, 41}}, Case{{3, 700, 129}, {1, 700, 1}}}) {
    for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kMaximum}) {
      SCOPED_TRACE(test.in.ToString());
      ExpectReduced(op, Random(test.in, 1), Random(test.out, 2), -2, true);
    }
  }
}

TEST_P(ReductionTest, OutputsOfOtherLayouts) {
  const Tensor out = Random({9, 40}, 2);
  ExpectReduced(ReduceOp::kSum, Random({40, 1000, 9}, 1).Permuted({2, 0, 1}), out.Unsqueezed(2), 1,
                false);
  ExpectReduced(ReduceOp::kSum, Random({40, 1000, 9}, 1), out.Transposed().Unsqueezed(1), 1, true);
}

TEST_P(ReductionTest, EmptySumsAreZeroAndEmptyExtremesInfinite) {
  const Tensor in = Tensor::Zeros(device_, {3, 0}, type_);
  const Tensor out = Random({3, 1}, 1);
  device_.reduction().Reduce(ReduceOp::kSum, in, 1, out, false);
  EXPECT_EQ(Doubles(out), (std::vector<double>{0, 0, 0}));
  device_.reduction().Reduce(ReduceOp::kMaximum, in, 1, out, false);
  for (const double value : Doubles(out))
    EXPECT_EQ(value, -std::numeric_limits<double>::infinity());
  const Tensor columns = Tensor::Zeros(device_, {0, 3}, type_);
  const Tensor row = Random({1, 3}, 1);
  const std::vector<double> before = Doubles(row);
  device_.reduction().Reduce(ReduceOp::kSum, columns, 1, row, true);
  EXPECT_EQ(Doubles(row), before);
}

TEST_P(ReductionTest, ExtremesPassOnWhatIsNotANumber) {
  for (const ReduceOp op : {ReduceOp::kMaximum, ReduceOp::kMinimum}) {
    for (const int64_t at : {0, 5, 33, 99}) {
      const Tensor in = Random({100, 70}, 1);
      Set(in, at * 70 + at % 70, std::nan(""));
      const Tensor rows = Random({100, 1}, 2);
      const Tensor columns = Random({1, 70}, 2);
      device_.reduction().Reduce(op, in, 1, rows, false);
      device_.reduction().Reduce(op, in, 1, columns, false);
      EXPECT_TRUE(std::isnan(At(rows, {at, 0})));
      EXPECT_TRUE(std::isnan(At(columns, {0, at % 70})));
    }
  }
}

TEST_P(ReductionTest, LongSumsOfFloatsStayAccurate) {
  const int64_t n = 1'000'003;
  const Tensor in = Tensor::Full(device_, {n}, 0.1, type_);
  const Tensor out = Tensor::Zeros(device_, {1}, type_);
  device_.reduction().Reduce(ReduceOp::kSum, in, 1, out, false);
  const double element = At(in, {0});
  EXPECT_NEAR(Doubles(out)[0] / (element * n), 1, is_double() ? 1e-12 : 1e-6);
  const Tensor columns = Tensor::Zeros(device_, {1, 1}, type_);
  device_.reduction().Reduce(ReduceOp::kSum, in.View({n, 1}).BroadcastTo({n, 1}), 1, columns,
                             false);
  EXPECT_NEAR(Doubles(columns)[0] / (element * n), 1, is_double() ? 1e-12 : 1e-6);
}

TEST_P(ReductionTest, BitsDoNotDependOnTheNumberOfThreads) {
  for (const auto& [in, out] : {std::pair<Shape, Shape>{{300'000}, {1}},
                                {{900, 300}, {1, 300}},
                                {{900, 300}, {900, 1}},
                                {{5, 400, 90}, {1, 400, 1}}}) {
    ExpectSameBitsForAnyThreads([&](CpuDevice& device) {
      const Tensor result = Tensor::Zeros(device, out, type_);
      device.reduction().Reduce(ReduceOp::kSum, RandomTensor(device, in, type_, 1), 1, result,
                                false);
      return result;
    });
  }
}

TEST_P(ReductionTest, ArgMaxTakesTheFirstOfEqualOnes) {
  const Tensor in = Of({3, 4}, {1, 5, 5, 2, -1, -2, -3, -4, 0, 0, 0, 0});
  const Tensor out = Tensor::Zeros(device_, {3}, DType::kInt32);
  device_.reduction().ArgMax(in, out);
  EXPECT_EQ(out.ToVector<int32_t>(), (std::vector<int32_t>{1, 0, 0}));
  device_.reduction().ArgMax(in.Transposed().Slice(0, 0, 3), out);
  EXPECT_EQ(out.ToVector<int32_t>(), (std::vector<int32_t>{0, 0, 0}));
}

}  // namespace
}  // namespace trainyard
