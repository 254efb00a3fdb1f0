// Against formulas in double from the standard library, on tensors of many layouts.
#include "core/tensor/kernels/elementwise_kernels.h"

#include <cstring>
#include <functional>

#include "tests/core/tensor/kernel_test.h"

namespace trainyard {
namespace {

constexpr UnaryOp kAllUnary[] = {
    UnaryOp::kNegate,     UnaryOp::kAbs,      UnaryOp::kSquare, UnaryOp::kSqrt,
    UnaryOp::kReciprocal, UnaryOp::kExp,      UnaryOp::kLog,    UnaryOp::kSigmoid,
    UnaryOp::kTanh,       UnaryOp::kSoftplus, UnaryOp::kRelu,   UnaryOp::kSquaredRelu,
    UnaryOp::kSilu,       UnaryOp::kGelu,     UnaryOp::kSin,    UnaryOp::kCos};
constexpr BinaryOp kAllBinary[] = {BinaryOp::kAdd,    BinaryOp::kSubtract, BinaryOp::kMultiply,
                                   BinaryOp::kDivide, BinaryOp::kMaximum,  BinaryOp::kMinimum};
constexpr Activation kAllActivations[] = {
    Activation::kNone, Activation::kRelu,    Activation::kSquaredRelu, Activation::kSilu,
    Activation::kGelu, Activation::kSigmoid, Activation::kTanh};

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double Reference(UnaryOp op, double x) {
  switch (op) {
    case UnaryOp::kNegate:
      return -x;
    case UnaryOp::kAbs:
      return std::abs(x);
    case UnaryOp::kSquare:
      return x * x;
    case UnaryOp::kSqrt:
      return std::sqrt(x);
    case UnaryOp::kReciprocal:
      return 1 / x;
    case UnaryOp::kExp:
      return std::exp(x);
    case UnaryOp::kLog:
      return std::log(x);
    case UnaryOp::kSigmoid:
      return Sigmoid(x);
    case UnaryOp::kTanh:
      return std::tanh(x);
    case UnaryOp::kSoftplus:
      return x > 30 ? x : std::log1p(std::exp(x));
    case UnaryOp::kRelu:
      return x > 0 ? x : 0;
    case UnaryOp::kSquaredRelu:
      return x > 0 ? x * x : 0;
    case UnaryOp::kSilu:
      return x * Sigmoid(x);
    case UnaryOp::kGelu:
      return x * std::erfc(-x / std::sqrt(2.0)) / 2;
    case UnaryOp::kSin:
      return std::sin(x);
    case UnaryOp::kCos:
      return std::cos(x);
  }
  return 0;
}

double Reference(Activation activation, double x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return Reference(UnaryOp::kRelu, x);
    case Activation::kSquaredRelu:
      return Reference(UnaryOp::kSquaredRelu, x);
    case Activation::kSilu:
      return Reference(UnaryOp::kSilu, x);
    case Activation::kGelu:
      return Reference(UnaryOp::kGelu, x);
    case Activation::kSigmoid:
      return Reference(UnaryOp::kSigmoid, x);
    case Activation::kTanh:
      return Reference(UnaryOp::kTanh, x);
  }
  return 0;
}

double Reference(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kAdd:
      return a + b;
    case BinaryOp::kSubtract:
      return a - b;
    case BinaryOp::kMultiply:
      return a * b;
    case BinaryOp::kDivide:
      return a / b;
    case BinaryOp::kMaximum:
      return a > b ? a : b;
    case BinaryOp::kMinimum:
      return a < b ? a : b;
  }
  return 0;
}

// By central differences of fourth order.
double Slope(const std::function<double(double)>& function, double x) {
  const double h = 3e-4 * std::max(0.1, std::abs(x));
  return (8 * (function(x + h) - function(x - h)) - function(x + 2 * h) + function(x - 2 * h)) /
         (12 * h);
}

bool NeedsPositive(UnaryOp op) {
  return op == UnaryOp::kSqrt || op == UnaryOp::kLog || op == UnaryOp::kReciprocal;
}

class ElementwiseTest : public KernelTest {
 protected:
  // Makes numbers x into |x| + 0.1.
  static void MakePositive(const Tensor& tensor) {
    const std::vector<double> numbers = Doubles(tensor);
    for (int64_t i = 0; i < tensor.elements(); ++i) SetAt(tensor, i, std::abs(numbers[i]) + 0.1);
  }
  // No number is near the kink of a function at 0, for slopes by differences.
  static void MoveOffZero(const Tensor& tensor) {
    const std::vector<double> numbers = Doubles(tensor);
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      SetAt(tensor, i, numbers[i] + std::copysign(0.01, numbers[i]));
    }
  }
  // For slopes, which are known by differences.
  double slope_tolerance() const { return is_double() ? 1e-9 : 3e-6; }

  ElementwiseKernels& kernels() { return device_.elementwise(); }
};

TRAINYARD_INSTANTIATE_KERNEL_TEST(ElementwiseTest);

TEST_P(ElementwiseTest, UnaryOfEveryLayout) {
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{7}, Shape{3, 70}, Shape{5, 3, 9}}) {
    for (const Layout in : kAllLayouts) {
      for (const Layout out : kDenseLayouts) {
        for (const UnaryOp op : {UnaryOp::kNegate, UnaryOp::kSilu}) {
          SCOPED_TRACE(testing::Message() << shape.ToString() << " " << static_cast<int>(in) << " "
                                          << static_cast<int>(out));
          const Tensor x = Random(shape, 1, in);
          const Tensor y = Random(shape, 2, out);
          std::vector<double> expected = Doubles(x);
          for (double& value : expected) value = Reference(op, value);
          kernels().Unary(op, x, y);
          ExpectNear(y, expected, tolerance());
        }
      }
    }
  }
}

TEST_P(ElementwiseTest, EveryUnaryFunctionAndItsSlope) {
  for (const UnaryOp op : kAllUnary) {
    for (const int64_t size : {1, 15, 16, 17, 95, 1000}) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(op) << " of " << size);
      const Tensor x = Random({size}, 1);
      NeedsPositive(op) ? MakePositive(x) : MoveOffZero(x);
      const Tensor y = Random({size}, 2);
      kernels().Unary(op, x, y);
      const std::vector<double> numbers = Doubles(x);
      const std::vector<double> gradients = Doubles(Random({size}, 3));
      const Tensor dx = Random({size}, 4);
      const std::vector<double> before = Doubles(dx);
      std::vector<double> values;
      std::vector<double> slopes;
      for (size_t i = 0; i < numbers.size(); ++i) {
        values.push_back(Reference(op, numbers[i]));
        slopes.push_back(gradients[i] *
                         Slope([op](double number) { return Reference(op, number); }, numbers[i]));
      }
      ExpectNear(y, values, tolerance());
      const Tensor& saved = SavesOutput(op) ? y : x;
      const Tensor dy = Of({size}, gradients);
      kernels().UnaryBackward(op, saved, dy, dx, /*accumulate=*/true);
      for (size_t i = 0; i < slopes.size(); ++i) slopes[i] += before[i];
      ExpectNear(dx, slopes, slope_tolerance());
      kernels().UnaryBackward(op, saved, dy, dx, /*accumulate=*/false);
      for (size_t i = 0; i < slopes.size(); ++i) slopes[i] -= before[i];
      ExpectNear(dx, slopes, slope_tolerance());
    }
  }
}

TEST_P(ElementwiseTest, BinaryOfEveryLayout) {
  for (const Shape& shape : {Shape{}, Shape{9}, Shape{3, 70}, Shape{5, 3, 9}, Shape{2, 65, 66}}) {
    for (const Layout a_layout : kAllLayouts) {
      for (const Layout b_layout : kAllLayouts) {
        SCOPED_TRACE(testing::Message() << shape.ToString() << " " << static_cast<int>(a_layout)
                                        << " " << static_cast<int>(b_layout));
        const Tensor a = Random(shape, 1, a_layout);
        const Tensor b = Random(shape, 2, b_layout);
        const Tensor out = Random(shape, 3);
        const std::vector<double> left = Doubles(a);
        const std::vector<double> right = Doubles(b);
        const std::vector<double> before = Doubles(out);
        std::vector<double> expected = before;
        for (size_t i = 0; i < left.size(); ++i) expected[i] += left[i] * right[i];
        kernels().MultiplyAdd(a, b, out, /*accumulate=*/true);
        ExpectNear(out, expected, tolerance());
        for (size_t i = 0; i < left.size(); ++i) expected[i] = left[i] - right[i];
        kernels().Binary(BinaryOp::kSubtract, a, b, out);
        ExpectNear(out, expected, tolerance());
      }
    }
  }
}

TEST_P(ElementwiseTest, EveryBinaryFunction) {
  for (const BinaryOp op : kAllBinary) {
    for (const Layout layout : {Layout::kContiguous, Layout::kOneNumber, Layout::kTransposed}) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(op));
      const Tensor a = Random({17, 71}, 1);
      const Tensor b = Random({17, 71}, 2, layout);
      if (op == BinaryOp::kDivide) MakePositive(b);
      const Tensor out = Random({17, 71}, 3);
      kernels().Binary(op, a, b, out);
      const std::vector<double> left = Doubles(a);
      const std::vector<double> right = Doubles(b);
      std::vector<double> expected;
      for (size_t i = 0; i < left.size(); ++i) {
        expected.push_back(Reference(op, left[i], right[i]));
      }
      ExpectNear(out, expected, tolerance());
    }
  }
}

TEST_P(ElementwiseTest, ExtremesPassOnWhatIsNotANumber) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const BinaryOp op : {BinaryOp::kMaximum, BinaryOp::kMinimum}) {
    const Tensor a = Of({3}, {nan, 1, nan});
    const Tensor b = Of({3}, {1, nan, nan});
    const Tensor out = Tensor::Zeros(device_, {3}, type_);
    kernels().Binary(op, a, b, out);
    for (const double value : Doubles(out)) EXPECT_TRUE(std::isnan(value));
  }
}

TEST_P(ElementwiseTest, GradientsOfExtremesGoToTheFirstAtTies) {
  for (const BinaryOp op : {BinaryOp::kMaximum, BinaryOp::kMinimum}) {
    const double sign = op == BinaryOp::kMaximum ? 1 : -1;
    const std::vector<double> left = {1 * sign, 2 * sign, 3 * sign};
    const std::vector<double> right = {2 * sign, 2 * sign, 2 * sign};
    const Tensor a = Of({3}, left);
    const Tensor b = Of({3}, right);
    const Tensor dy = Of({3}, {10, 20, 30});
    const Tensor da = Of({3}, {1, 1, 1});
    const Tensor db = Of({3}, {1, 1, 1});
    kernels().ChoiceBackward(op, a, b, /*first=*/true, dy, da, /*accumulate=*/true);
    kernels().ChoiceBackward(op, b, a, /*first=*/false, dy, db, /*accumulate=*/false);
    EXPECT_EQ(Doubles(da), (std::vector<double>{1, 21, 31}));
    EXPECT_EQ(Doubles(db), (std::vector<double>{10, 0, 0}));
  }
}

TEST_P(ElementwiseTest, AffineOfEveryLayout) {
  for (const Layout in : kAllLayouts) {
    for (const Layout out_layout : kDenseLayouts) {
      const Tensor x = Random({4, 5, 67}, 1, in);
      const Tensor out = Random({4, 5, 67}, 2, out_layout);
      const std::vector<double> numbers = Doubles(x);
      std::vector<double> expected = Doubles(out);
      for (size_t i = 0; i < numbers.size(); ++i) expected[i] += 0.5 * numbers[i] - 2;
      kernels().Affine(x, 0.5, -2, out, /*accumulate=*/true);
      ExpectNear(out, expected, tolerance());
      for (size_t i = 0; i < numbers.size(); ++i) expected[i] = 0.5 * numbers[i] - 2;
      kernels().Affine(x, 0.5, -2, out, /*accumulate=*/false);
      ExpectNear(out, expected, tolerance());
    }
  }
}

TEST_P(ElementwiseTest, BiasAndActivation) {
  for (const Activation activation : kAllActivations) {
    for (const auto& [n, d] : {std::pair<int64_t, int64_t>{1, 1}, {3, 5}, {7, 100}, {130, 257}}) {
      for (const bool with_bias : {false, true}) {
        for (const bool with_pre : {false, true}) {
          SCOPED_TRACE(testing::Message()
                       << static_cast<int>(activation) << " " << n << " x " << d);
          const Tensor x = Random({n, d}, 1);
          const Tensor bias = with_bias ? Random({d}, 2) : Tensor();
          const Tensor pre = with_pre ? Random({n, d}, 3) : Tensor();
          const Tensor y = Random({n, d}, 4);
          std::vector<double> sums = Doubles(x);
          if (with_bias) {
            const std::vector<double> biases = Doubles(bias);
            for (int64_t i = 0; i < n * d; ++i) sums[i] += biases[i % d];
          }
          kernels().BiasActivation(x, bias, activation, pre, y);
          if (with_pre) ExpectNear(pre, sums, tolerance());
          std::vector<double> expected;
          for (const double sum : sums) expected.push_back(Reference(activation, sum));
          ExpectNear(y, expected, 2 * tolerance());
          // In place.
          kernels().BiasActivation(x, bias, activation, Tensor(), x);
          EXPECT_EQ(Doubles(x), Doubles(y));
        }
      }
    }
  }
}

TEST_P(ElementwiseTest, BiasAndActivationBackward) {
  for (const Activation activation : kAllActivations) {
    for (const auto& [n, d] : {std::pair<int64_t, int64_t>{1, 1}, {3, 5}, {300, 257}}) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(activation) << " " << n << " x " << d);
      const Tensor x = Random({n, d}, 1);
      MoveOffZero(x);
      const Tensor y = Random({n, d}, 2);
      const Tensor dy = Random({n, d}, 3);
      const Tensor dbias = Random({d}, 4);
      kernels().BiasActivation(x, Tensor(), activation, Tensor(), y);
      const std::vector<double> numbers = Doubles(x);
      std::vector<double> expected = Doubles(dy);
      std::vector<double> sums = Doubles(dbias);
      for (size_t i = 0; i < expected.size(); ++i) {
        expected[i] *=
            Slope([&](double value) { return Reference(activation, value); }, numbers[i]);
        sums[i % d] += expected[i];
      }
      const Tensor& pre = ActivationSavesOutput(activation) ? y : x;
      kernels().BiasActivationBackward(activation, pre, dy, dy, dbias, /*accumulate_bias=*/true);
      ExpectNear(dy, expected, slope_tolerance());
      ExpectNear(dbias, sums, std::sqrt(n) * slope_tolerance());
    }
  }
}

TEST_P(ElementwiseTest, GatesAndTheirGradients) {
  for (const Activation activation : kAllActivations) {
    for (const Layout layout : {Layout::kContiguous, Layout::kSliced}) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(activation));
      const Shape shape = {33, 67};
      const Tensor a = Random(shape, 1, layout);
      MoveOffZero(a);
      const Tensor b = Random(shape, 2, layout);
      const Tensor dy = Random(shape, 3, layout);
      const Tensor y = Random(shape, 4, layout);
      kernels().Gate(activation, a, b, y);
      const std::vector<double> left = Doubles(a);
      const std::vector<double> right = Doubles(b);
      const std::vector<double> gradients = Doubles(dy);
      std::vector<double> values;
      std::vector<double> da;
      std::vector<double> db;
      for (size_t i = 0; i < left.size(); ++i) {
        const double act = Reference(activation, left[i]);
        values.push_back(act * right[i]);
        da.push_back(gradients[i] * right[i] *
                     Slope([&](double value) { return Reference(activation, value); }, left[i]));
        db.push_back(gradients[i] * act);
      }
      ExpectNear(y, values, 2 * tolerance());
      kernels().GateBackward(activation, a, b, dy, a, b);
      ExpectNear(a, da, 2 * slope_tolerance());
      ExpectNear(b, db, 2 * slope_tolerance());
    }
  }
}

TEST_P(ElementwiseTest, OutputsMayBeInputs) {
  const Tensor a = Random({31, 130}, 1, Layout::kTransposed);
  const Tensor b = Random({31, 130}, 2);
  const std::vector<double> left = Doubles(a);
  const std::vector<double> right = Doubles(b);
  std::vector<double> expected;
  for (size_t i = 0; i < left.size(); ++i) expected.push_back(left[i] + right[i]);
  kernels().Binary(BinaryOp::kAdd, a, b, a);
  ExpectNear(a, expected, tolerance());
  for (size_t i = 0; i < left.size(); ++i) expected[i] *= right[i];
  kernels().Binary(BinaryOp::kMultiply, a, b, b);
  ExpectNear(b, expected, 2 * tolerance());
  for (double& value : expected) value = 3 * value + 1;
  kernels().Affine(b, 3, 1, b, /*accumulate=*/false);
  ExpectNear(b, expected, 2 * tolerance());
}

TEST_P(ElementwiseTest, LargeTensorsGiveTheSameBitsAsSmallParts) {
  const int64_t size = 300'001;
  const Tensor x = Random({size}, 1);
  const Tensor y = Random({size}, 2);
  const Tensor parts = Random({size}, 3);
  for (const UnaryOp op : kAllUnary) {
    kernels().Unary(op, x, y);
    for (int64_t start = 0; start < size; start += 777) {
      const int64_t length = std::min<int64_t>(777, size - start);
      kernels().Unary(op, x.Slice(0, start, length), parts.Slice(0, start, length));
    }
    ASSERT_EQ(std::memcmp(y.raw_data(), parts.raw_data(), y.bytes()), 0) << static_cast<int>(op);
  }
}

TEST_P(ElementwiseTest, NothingAroundASliceIsWritten) {
  const Tensor whole = Random({40, 100}, 1);
  const Tensor before = CopyOf(whole);
  const Tensor part = whole.Slice(0, 3, 30).Slice(1, 5, 71);
  kernels().Unary(UnaryOp::kExp, part, part);
  kernels().Fill(7, part.Slice(0, 0, 2));
  kernels().Copy(part.Slice(0, 10, 5), part.Slice(0, 20, 5));
  for (int64_t i = 0; i < 40; ++i) {
    for (int64_t j = 0; j < 100; ++j) {
      if (i >= 3 && i < 33 && j >= 5 && j < 76) continue;
      ASSERT_EQ(At(whole, {i, j}), At(before, {i, j}));
    }
  }
}

TEST_P(ElementwiseTest, CopiesOfEveryLayout) {
  for (const Shape& shape : {Shape{}, Shape{70, 90}, Shape{3, 65, 5}, Shape{2, 3, 4, 5, 6, 7}}) {
    for (const Layout in : kAllLayouts) {
      for (const Layout out : kDenseLayouts) {
        const Tensor from = Random(shape, 1, in);
        const Tensor to = Random(shape, 2, out);
        kernels().Copy(from, to);
        ASSERT_EQ(Doubles(from), Doubles(to));
      }
    }
  }
}

TEST_P(ElementwiseTest, CopiesAndFillsAreParallel) {
  const Tensor from = Random({700, 513}, 1, Layout::kTransposed);
  const Tensor to = Random({700, 513}, 2);
  kernels().Copy(from, to);
  EXPECT_EQ(Doubles(from), Doubles(to));
  kernels().Fill(-1.5, to);
  for (const double value : Doubles(to)) ASSERT_EQ(value, -1.5);
}

TEST_P(ElementwiseTest, NoElementsNoWork) {
  const Tensor nothing = Tensor::Zeros(device_, {3, 0, 2}, type_);
  kernels().Unary(UnaryOp::kExp, nothing, nothing);
  kernels().Binary(BinaryOp::kAdd, nothing, nothing, nothing);
  kernels().Copy(nothing, nothing);
  const Tensor dbias = Tensor::Full(device_, {2}, 5, type_);
  const Tensor rows = Tensor::Zeros(device_, {0, 2}, type_);
  kernels().BiasActivationBackward(Activation::kRelu, rows, rows, rows, dbias, true);
  EXPECT_EQ(Doubles(dbias), (std::vector<double>{5, 5}));
}

TEST(ElementwiseCopyTest, ConvertsBetweenAllTypes) {
  CpuDevice device(1);
  const std::vector<double> numbers = {0, 1.75, 3, 200};
  const Tensor source = Tensor::FromValues<double>(device, {4}, numbers);
  for (const DType first : {DType::kFloat32, DType::kFloat64, DType::kInt32, DType::kUint8}) {
    for (const DType second : {DType::kFloat32, DType::kFloat64, DType::kInt32, DType::kUint8}) {
      const Tensor result = source.To(first).To(second).To(DType::kFloat64);
      std::vector<double> expected = numbers;
      if (!IsFloating(first) || !IsFloating(second)) expected[1] = 1;
      EXPECT_EQ(result.ToVector<double>(), expected);
    }
  }
}

TEST(ElementwiseCopyTest, FillsEveryType) {
  CpuDevice device(1);
  for (const DType type : {DType::kFloat32, DType::kFloat64, DType::kInt32, DType::kUint8}) {
    const Tensor tensor = Tensor::Full(device, {3, 5}, 9, type);
    tensor.Slice(1, 1, 3).Fill(4);
    const std::vector<double> values = tensor.To(DType::kFloat64).ToVector<double>();
    for (int64_t i = 0; i < 15; ++i) {
      EXPECT_EQ(values[i], i % 5 >= 1 && i % 5 < 4 ? 4 : 9);
    }
  }
}

TEST(ElementwiseErrorTest, RefusesElementsThatAreNotFloating) {
  CpuDevice device(1);
  const Tensor tensor = Tensor::Zeros(device, {3}, DType::kInt32);
  try {
    device.elementwise().Unary(UnaryOp::kExp, tensor, tensor);
    FAIL();
  } catch (const TensorError& error) {
    EXPECT_EQ(error.status().message(), "unary: int32 elements; expected float32 or float64");
  }
}

}  // namespace
}  // namespace trainyard
