// Reductions beside loops in float64.
#include <algorithm>
#include <array>
#include <limits>

#include "core/tensor/kernels/reduction_kernels.h"
#include "tests/core/tensor/cuda/kernel_test.h"

namespace trainyard {
namespace {

class CudaReductionTest : public CudaKernelTest {};
INSTANTIATE_CUDA_KERNEL_TEST(CudaReductionTest);

// [a, b, c] reduced along the dimensions of which `out` has size 1.
Numbers Reduced(ReduceOp op, const Numbers& in, const Shape& shape, const Shape& out) {
  const double start = op == ReduceOp::kSum       ? 0
                       : op == ReduceOp::kMaximum ? -std::numeric_limits<double>::infinity()
                                                  : std::numeric_limits<double>::infinity();
  Numbers result(static_cast<size_t>(out.elements()), start);
  size_t next = 0;
  for (int64_t i = 0; i < shape[0]; ++i) {
    for (int64_t j = 0; j < shape[1]; ++j) {
      for (int64_t k = 0; k < shape[2]; ++k, ++next) {
        const int64_t at = ((out[0] == 1 ? 0 : i) * out[1] + (out[1] == 1 ? 0 : j)) * out[2] +
                           (out[2] == 1 ? 0 : k);
        double& value = result[static_cast<size_t>(at)];
        value = op == ReduceOp::kSum       ? value + in[next]
                : op == ReduceOp::kMaximum ? std::max(value, in[next])
                                           : std::min(value, in[next]);
      }
    }
  }
  return result;
}

TEST_P(CudaReductionTest, ReducesAnyDimensions) {
  const Shape shape{3, 41, 35};
  const Numbers in = RandomNumbers(shape.elements(), 1);
  for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kMaximum, ReduceOp::kMinimum}) {
    for (const Shape& out : {Shape{1, 1, 1}, Shape{3, 41, 1}, Shape{3, 1, 35}, Shape{1, 41, 35},
                             Shape{1, 1, 35}, Shape{3, 1, 1}, Shape{1, 41, 1}, Shape{3, 41, 35}}) {
      SCOPED_TRACE(out.ToString());
      const Numbers before = RandomNumbers(out.elements(), 2);
      Numbers expected = Reduced(op, in, shape, out);
      Numbers added = before;
      for (size_t i = 0; i < added.size(); ++i) added[i] += 0.5 * expected[i];
      for (const Placement placement : {Placement::kDense, Placement::kTransposed}) {
        Check(
            [&](Device& on, DType type) {
              const Tensor from = Put(on, shape, in, type, placement);
              const Tensor result = Tensor::Empty(on, out, type);
              on.reduction().Reduce(op, from, 1, result, false);
              const Tensor sum = Put(on, out, before, type, Placement::kGapped);
              on.reduction().Reduce(op, from, 0.5, sum, true);
              return std::vector{result, sum};
            },
            {expected, added});
      }
    }
  }
}

// Long enough to be reduced in several parts.
TEST_P(CudaReductionTest, ReducesLongDimensionsInParts) {
  const int64_t n = 2503;
  const Numbers tall = RandomNumbers(n * 33, 3);
  Numbers columns(33, 0.0);
  double all = 0;
  for (size_t i = 0; i < tall.size(); ++i) {
    columns[i % 33] += tall[i];
    all += tall[i];
  }
  Check(
      [&](Device& on, DType type) {
        const Tensor in = Put(on, {n, 33}, tall, type);
        const Tensor column_sums = Tensor::Empty(on, {1, 33}, type);
        on.reduction().Reduce(ReduceOp::kSum, in, 1, column_sums, false);
        const Tensor sum = Tensor::Empty(on, {1, 1}, type);
        on.reduction().Reduce(ReduceOp::kSum, in, 1, sum, false);
        return std::vector{column_sums, sum};
      },
      {columns, {all}});
}

TEST_P(CudaReductionTest, ReducesShortDimensionsOfManyOutputs) {
  const int64_t outputs = 70000;
  const Numbers in = RandomNumbers(40 * outputs, 5);
  Numbers columns(outputs, 0.0);
  for (size_t i = 0; i < in.size(); ++i) columns[i % outputs] += in[i];
  CheckHere(
      [&](Device& on, DType type) {
        const Tensor sums = Tensor::Empty(on, {1, outputs}, type);
        on.reduction().Reduce(ReduceOp::kSum, Put(on, {40, outputs}, in, type), 1, sums, false);
        return std::vector{sums};
      },
      {columns});
}

TEST_P(CudaReductionTest, SumOfNothingIsZero) {
  const Tensor out = Tensor::Full(device(), {1, 4}, 7, DType::kFloat32);
  device().reduction().Reduce(ReduceOp::kSum, Tensor::Empty(device(), {0, 4}), 1, out, false);
  EXPECT_EQ(Get(out), Numbers(4, 0.0));
}

TEST_P(CudaReductionTest, ArgMaxNamesTheFirstOfTheLargest) {
  for (const int64_t d : {1, 37, 1500}) {
    const std::vector<int32_t> values = RandomIntegers(9 * d, -20, 20, 4);
    const Numbers in(values.begin(), values.end());
    Numbers expected;
    for (int64_t i = 0; i < 9; ++i) {
      const auto row = in.begin() + i * d;
      expected.push_back(static_cast<double>(std::max_element(row, row + d) - row));
    }
    Check(
        [&](Device& on, DType type) {
          const Tensor out = Tensor::Empty(on, {9}, DType::kInt32);
          on.reduction().ArgMax(Put(on, {9, d}, in, type, Placement::kGapped), out);
          return std::vector{out};
        },
        {expected});
  }
}

}  // namespace
}  // namespace trainyard
