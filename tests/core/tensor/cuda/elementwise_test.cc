// Elementwise kernels beside formulas in float64.
#include <array>
#include <cmath>

#include "core/tensor/kernels/elementwise_kernels.h"
#include "tests/core/tensor/cuda/kernel_test.h"

namespace trainyard {
namespace {

class CudaElementwiseTest : public CudaKernelTest {};
INSTANTIATE_CUDA_KERNEL_TEST(CudaElementwiseTest);

constexpr std::array kUnaryOps = {
    UnaryOp::kNegate,     UnaryOp::kAbs,      UnaryOp::kSquare, UnaryOp::kSqrt,
    UnaryOp::kReciprocal, UnaryOp::kExp,      UnaryOp::kLog,    UnaryOp::kSigmoid,
    UnaryOp::kTanh,       UnaryOp::kSoftplus, UnaryOp::kRelu,   UnaryOp::kSquaredRelu,
    UnaryOp::kSilu,       UnaryOp::kGelu,     UnaryOp::kSin,    UnaryOp::kCos};

double F(UnaryOp op, double x) {
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
      return 1 / (1 + std::exp(-x));
    case UnaryOp::kTanh:
      return std::tanh(x);
    case UnaryOp::kSoftplus:
      return std::log1p(std::exp(x));
    case UnaryOp::kRelu:
      return std::max(x, 0.0);
    case UnaryOp::kSquaredRelu:
      return std::pow(std::max(x, 0.0), 2);
    case UnaryOp::kSilu:
      return x / (1 + std::exp(-x));
    case UnaryOp::kGelu:
      return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    case UnaryOp::kSin:
      return std::sin(x);
    case UnaryOp::kCos:
      return std::cos(x);
  }
  return 0;
}

// By central differences: no formula of a derivative is repeated here.
double Slope(UnaryOp op, double x) {
  const double h = 1e-5;
  return (F(op, x + h) - F(op, x - h)) / (2 * h);
}

double F(Activation activation, double x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return F(UnaryOp::kRelu, x);
    case Activation::kSquaredRelu:
      return F(UnaryOp::kSquaredRelu, x);
    case Activation::kSilu:
      return F(UnaryOp::kSilu, x);
    case Activation::kGelu:
      return F(UnaryOp::kGelu, x);
    case Activation::kSigmoid:
      return F(UnaryOp::kSigmoid, x);
    case Activation::kTanh:
      return F(UnaryOp::kTanh, x);
  }
  return 0;
}

double Slope(Activation activation, double x) {
  const double h = 1e-5;
  return (F(activation, x + h) - F(activation, x - h)) / (2 * h);
}

constexpr std::array kActivations = {Activation::kNone, Activation::kRelu, Activation::kSquaredRelu,
                                     Activation::kSilu, Activation::kGelu, Activation::kSigmoid,
                                     Activation::kTanh};

// Away from the kinks at 0; positive for the functions that want it.
Numbers ArgumentsFor(UnaryOp op, int64_t count, uint64_t seed) {
  Numbers values = RandomNumbers(count, seed);
  const bool positive = op == UnaryOp::kSqrt || op == UnaryOp::kLog || op == UnaryOp::kReciprocal;
  for (double& x : values) {
    if (positive) x = std::abs(x) + 0.5;
    x = static_cast<float>(x < 0 ? x - 0.05 : x + 0.05);
  }
  return values;
}

TEST_P(CudaElementwiseTest, UnaryFunctions) {
  for (const UnaryOp op : kUnaryOps) {
    SCOPED_TRACE(static_cast<int>(op));
    const Shape shape{7, 13};
    const Numbers x = ArgumentsFor(op, shape.elements(), 1);
    Numbers expected;
    for (const double value : x) expected.push_back(F(op, value));
    for (const Placement placement :
         {Placement::kDense, Placement::kTransposed, Placement::kUnaligned}) {
      Check(
          [&](Device& on, DType type) {
            const Tensor y = Tensor::Empty(on, shape, type);
            on.elementwise().Unary(op, Put(on, shape, x, type, placement), y);
            return std::vector{y};
          },
          {expected});
    }
  }
}

TEST_P(CudaElementwiseTest, UnaryGradients) {
  for (const UnaryOp op : kUnaryOps) {
    SCOPED_TRACE(static_cast<int>(op));
    const Shape shape{5, 9};
    const Numbers x = ArgumentsFor(op, shape.elements(), 2);
    const Numbers dy = RandomNumbers(shape.elements(), 3);
    const Numbers before = RandomNumbers(shape.elements(), 4);
    Numbers saved;
    Numbers added;
    for (size_t i = 0; i < x.size(); ++i) {
      saved.push_back(SavesOutput(op) ? F(op, x[i]) : x[i]);
      added.push_back(before[i] + dy[i] * Slope(op, x[i]));
    }
    Check(
        [&](Device& on, DType type) {
          const Tensor dx = Put(on, shape, before, type, Placement::kGapped);
          on.elementwise().UnaryBackward(op, Put(on, shape, saved, type),
                                         Put(on, shape, dy, type, Placement::kTransposed), dx,
                                         true);
          return std::vector{dx};
        },
        {added}, 5e-6, 1e-8);
  }
}

TEST_P(CudaElementwiseTest, BinaryFunctionsOfBroadcastInputs) {
  const Shape shape{3, 4, 35};
  const Numbers a = RandomNumbers(shape.elements(), 5);
  Numbers b = RandomNumbers(35, 6);
  for (double& value : b) value = static_cast<float>(value < 0 ? value - 0.1 : value + 0.1);
  const auto apply = [](BinaryOp op, double x, double y) {
    switch (op) {
      case BinaryOp::kAdd:
        return x + y;
      case BinaryOp::kSubtract:
        return x - y;
      case BinaryOp::kMultiply:
        return x * y;
      case BinaryOp::kDivide:
        return x / y;
      case BinaryOp::kMaximum:
        return std::max(x, y);
      case BinaryOp::kMinimum:
        return std::min(x, y);
    }
    return 0.0;
  };
  for (const BinaryOp op : {BinaryOp::kAdd, BinaryOp::kSubtract, BinaryOp::kMultiply,
                            BinaryOp::kDivide, BinaryOp::kMaximum, BinaryOp::kMinimum}) {
    Numbers expected;
    for (size_t i = 0; i < a.size(); ++i) expected.push_back(apply(op, a[i], b[i % 35]));
    Check(
        [&](Device& on, DType type) {
          const Tensor out = Tensor::Empty(on, shape, type);
          on.elementwise().Binary(op, Put(on, shape, a, type, Placement::kTransposed),
                                  Put(on, {35}, b, type).BroadcastTo(shape), out);
          return std::vector{out};
        },
        {expected});
  }
}

TEST_P(CudaElementwiseTest, MultiplyAddAndAffineAccumulate) {
  const Shape shape{1027};
  const Numbers a = RandomNumbers(1027, 7);
  const Numbers b = RandomNumbers(1027, 8);
  const Numbers before = RandomNumbers(1027, 9);
  Numbers product;
  Numbers affine;
  for (size_t i = 0; i < a.size(); ++i) {
    product.push_back(before[i] + a[i] * b[i]);
    affine.push_back(-0.5 * a[i] + 3);
  }
  for (const Placement placement : {Placement::kDense, Placement::kUnaligned}) {
    Check(
        [&](Device& on, DType type) {
          const Tensor sum = Put(on, shape, before, type, placement);
          on.elementwise().MultiplyAdd(Put(on, shape, a, type), Put(on, shape, b, type), sum, true);
          const Tensor in_place = Put(on, shape, a, type, placement);
          on.elementwise().Affine(in_place, -0.5, 3, in_place, false);
          return std::vector{sum, in_place};
        },
        {product, affine});
  }
}

TEST_P(CudaElementwiseTest, ChoiceBackwardGivesTiesToTheFirst) {
  const Shape shape{6};
  const Numbers x = {1, 2, 3, -1, 0, 5};
  const Numbers other = {1, 1, 4, -2, 0, 5};
  const Numbers dy = {10, 20, 30, 40, 50, 60};
  const auto choice = [&](BinaryOp op, bool first) {
    return [&, op, first](Device& on, DType type) {
      const Tensor dx = Tensor::Empty(on, shape, type);
      on.elementwise().ChoiceBackward(op, Put(on, shape, x, type), Put(on, shape, other, type),
                                      first, Put(on, shape, dy, type), dx, false);
      return std::vector{dx};
    };
  };
  Check(choice(BinaryOp::kMaximum, true), {{10, 20, 0, 40, 50, 60}});
  Check(choice(BinaryOp::kMaximum, false), {{0, 20, 0, 40, 0, 0}});
  Check(choice(BinaryOp::kMinimum, true), {{10, 0, 30, 0, 50, 60}});
  Check(choice(BinaryOp::kMinimum, false), {{0, 0, 30, 0, 0, 0}});
}

TEST_P(CudaElementwiseTest, BiasActivationAndItsGradients) {
  const int64_t n = 37;
  const int64_t d = 11;
  const Numbers x = RandomNumbers(n * d, 10);
  const Numbers bias = RandomNumbers(d, 11);
  const Numbers dy = RandomNumbers(n * d, 12);
  const Numbers before = RandomNumbers(d, 13);
  for (const Activation activation : kActivations) {
    Numbers pre(n * d), y(n * d), dx(n * d), dbias = before;
    for (int64_t i = 0; i < n * d; ++i) {
      pre[i] = x[i] + bias[i % d];
      y[i] = F(activation, pre[i]);
      dx[i] = dy[i] * Slope(activation, pre[i]);
      dbias[i % d] += dx[i];
    }
    const Numbers& saved = ActivationSavesOutput(activation) ? y : pre;
    Check(
        [&](Device& on, DType type) {
          const Tensor pre_out = Tensor::Empty(on, {n, d}, type);
          const Tensor y_out = Put(on, {n, d}, x, type);
          on.elementwise().BiasActivation(y_out, Put(on, {d}, bias, type), activation, pre_out,
                                          y_out);
          const Tensor dx_out = Put(on, {n, d}, dy, type);
          const Tensor dbias_out = Put(on, {d}, before, type);
          on.elementwise().BiasActivationBackward(activation, Put(on, {n, d}, saved, type), dx_out,
                                                  dx_out, dbias_out, true);
          return std::vector{pre_out, y_out, dx_out, dbias_out};
        },
        {pre, y, dx, dbias}, 5e-6, 1e-8);
  }
}

TEST_P(CudaElementwiseTest, GatesAndTheirGradients) {
  const Shape shape{9, 21};
  const Numbers a = ArgumentsFor(UnaryOp::kRelu, shape.elements(), 14);
  const Numbers b = RandomNumbers(shape.elements(), 15);
  const Numbers dy = RandomNumbers(shape.elements(), 16);
  for (const Activation activation : kActivations) {
    Numbers y, da, db;
    for (size_t i = 0; i < a.size(); ++i) {
      y.push_back(F(activation, a[i]) * b[i]);
      da.push_back(dy[i] * b[i] * Slope(activation, a[i]));
      db.push_back(dy[i] * F(activation, a[i]));
    }
    Check(
        [&](Device& on, DType type) {
          const Tensor gate = Put(on, shape, a, type, Placement::kGapped);
          const Tensor value = Put(on, shape, b, type, Placement::kGapped);
          const Tensor out = Tensor::Empty(on, shape, type);
          on.elementwise().Gate(activation, gate, value, out);
          on.elementwise().GateBackward(activation, gate, value, Put(on, shape, dy, type), gate,
                                        value);
          return std::vector{out, gate, value};
        },
        {y, da, db}, 5e-6, 1e-8);
  }
}

TEST_P(CudaElementwiseTest, CopiesConvertAsStaticCast) {
  const Numbers values = {0, 1, 2.75, 255, 17.5, 100};
  const std::array types = {DType::kFloat32, DType::kFloat64, DType::kInt32, DType::kUint8};
  for (const DType from : types) {
    const Tensor source = Put(device(), {6}, values, DType::kFloat64).To(from);
    Numbers held = values;
    const bool whole = !IsFloating(from);
    for (double& value : held) value = whole ? std::trunc(value) : value;
    EXPECT_EQ(Get(source), held);
    for (const DType to : types) {
      Numbers expected = held;
      for (double& value : expected) value = IsFloating(to) ? value : std::trunc(value);
      EXPECT_EQ(Get(source.To(to)), expected) << NameOf(from) << " to " << NameOf(to);
    }
  }
}

TEST_P(CudaElementwiseTest, CopiesOfAllTypesBetweenLayouts) {
  const Shape shape{3, 5, 7};
  const Numbers values = RandomNumbers(shape.elements(), 17);
  const Tensor source = Put(device(), shape, values, DType::kFloat32);
  const Tensor permuted = source.Permuted({2, 0, 1});
  const Numbers copied = Get(permuted.Contiguous());
  for (int64_t i = 0; i < 7; ++i) {
    for (int64_t j = 0; j < 15; ++j) EXPECT_EQ(copied[i * 15 + j], values[j * 7 + i]);
  }
  const Tensor bytes = Tensor::Full(device(), {1000}, 7, DType::kUint8);
  EXPECT_EQ(Get(bytes.Clone()), Numbers(1000, 7));
  const Tensor filled = Tensor::Zeros(device(), {4, 6}, DType::kInt32);
  filled.Slice(1, 1, 2).Fill(-3);
  EXPECT_EQ(Get(filled.Select(0, 2)), (Numbers{0, -3, -3, 0, 0, 0}));
}

}  // namespace
}  // namespace trainyard
