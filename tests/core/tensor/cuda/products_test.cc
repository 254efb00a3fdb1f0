// Matrix products, convolutions and structured products beside loops in float64.
#include <algorithm>
#include <array>
#include <cmath>

#include "core/tensor/kernels/convolution_kernels.h"
#include "core/tensor/kernels/matmul_kernels.h"
#include "core/tensor/kernels/structured_kernels.h"
#include "tests/core/tensor/cuda/kernel_test.h"

namespace trainyard {
namespace {

class CudaProductsTest : public CudaKernelTest {};
INSTANTIATE_CUDA_KERNEL_TEST(CudaProductsTest);

// a [batch, m, k] times b [batch, k, n].
Numbers Product(int64_t batch, int64_t m, int64_t n, int64_t k, const Numbers& a,
                const Numbers& b) {
  Numbers c(static_cast<size_t>(batch * m * n), 0.0);
  for (int64_t g = 0; g < batch; ++g) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t l = 0; l < k; ++l) {
        for (int64_t j = 0; j < n; ++j) {
          c[(g * m + i) * n + j] += a[(g * m + i) * k + l] * b[(g * k + l) * n + j];
        }
      }
    }
  }
  return c;
}

struct ProductSize {
  int64_t m;
  int64_t n;
  int64_t k;
};

TEST_P(CudaProductsTest, ProductsOfAllLayouts) {
  for (const auto [m, n, k] : {ProductSize{1, 1, 1}, ProductSize{7, 5, 3}, ProductSize{1, 9, 4},
                               ProductSize{6, 1, 8}, ProductSize{33, 65, 17}}) {
    const Numbers a = RandomNumbers(m * k, 1);
    const Numbers b = RandomNumbers(k * n, 2);
    const Numbers before = RandomNumbers(m * n, 3);
    const Numbers product = Product(1, m, n, k, a, b);
    Numbers added = before;
    for (size_t i = 0; i < added.size(); ++i) added[i] -= 0.5 * product[i];
    for (const Placement of_a : {Placement::kDense, Placement::kGapped, Placement::kTransposed}) {
      for (const Placement of_b : {Placement::kDense, Placement::kGapped, Placement::kTransposed}) {
        Check(
            [&, m = m, n = n, k = k](Device& on, DType type) {
              const Tensor left = Put(on, {m, k}, a, type, of_a);
              const Tensor right = Put(on, {k, n}, b, type, of_b);
              const Tensor out = Tensor::Empty(on, {m, n}, type);
              on.matmul().Matmul({.a = left, .b = right, .out = out});
              const Tensor sum = Put(on, {m, n}, before, type, Placement::kGapped);
              on.matmul().Matmul(
                  {.a = left, .b = right, .out = sum, .alpha = -0.5, .accumulate = true});
              return std::vector{out, sum};
            },
            {product, added});
      }
    }
  }
}

TEST_P(CudaProductsTest, BatchesWithStridesAndBroadcastFactors) {
  const int64_t b1 = 2, b2 = 3, m = 4, n = 5, k = 6;
  const Numbers a = RandomNumbers(b1 * b2 * m * k, 4);
  const Numbers b = RandomNumbers(b1 * b2 * k * n, 5);
  const Numbers one = RandomNumbers(k * n, 6);
  Numbers repeated;
  for (int64_t i = 0; i < b1 * b2; ++i) repeated.insert(repeated.end(), one.begin(), one.end());
  const Shape out_shape{b1, b2, m, n};
  Check(
      [&](Device& on, DType type) {
        const Tensor left = Put(on, {b1, b2, m, k}, a, type);
        const Tensor out = Tensor::Empty(on, out_shape, type);
        on.matmul().Matmul({.a = left, .b = Put(on, {b1, b2, k, n}, b, type), .out = out});
        // As attention has its heads: batch dimensions of which one lies between rows.
        const Tensor spread = Tensor::Empty(on, {b1, m, b2, k}, type).Permuted({0, 2, 1, 3});
        spread.CopyFrom(left);
        const Tensor spread_out = Tensor::Empty(on, {b1, m, b2, n}, type).Permuted({0, 2, 1, 3});
        const Tensor shared = Put(on, {k, n}, one, type);
        on.matmul().Matmul(
            {.a = spread, .b = shared.BroadcastTo({b1, b2, k, n}), .out = spread_out});
        const Tensor joined_out = Tensor::Empty(on, out_shape, type);
        on.matmul().Matmul({.a = left, .b = shared.BroadcastTo({b1, b2, k, n}), .out = joined_out});
        return std::vector{out, spread_out, joined_out};
      },
      {Product(b1 * b2, m, n, k, a, b), Product(b1 * b2, m, n, k, a, repeated),
       Product(b1 * b2, m, n, k, a, repeated)});
}

TEST_P(CudaProductsTest, BiasAndActivation) {
  const int64_t m = 13, n = 22, k = 8;
  const Numbers a = RandomNumbers(m * k, 7);
  const Numbers b = RandomNumbers(k * n, 8);
  const Numbers bias = RandomNumbers(n, 9);
  Numbers pre = Product(1, m, n, k, a, b);
  for (size_t i = 0; i < pre.size(); ++i) pre[i] = 0.25 * pre[i] + bias[i % n];
  Numbers relu = pre;
  Numbers gelu = pre;
  for (double& x : relu) x = std::max(x, 0.0);
  for (double& x : gelu) x = 0.5 * x * std::erfc(-x / std::sqrt(2.0));
  for (const Placement placement : {Placement::kDense, Placement::kUnaligned}) {
    Check(
        [&](Device& on, DType type) {
          std::vector<Tensor> results;
          const auto run = [&](Activation activation, bool keep_pre) {
            MatmulArguments arguments{.a = Put(on, {m, k}, a, type),
                                      .b = Put(on, {k, n}, b, type),
                                      .out = Tensor::Empty(on, {m, n}, type),
                                      .alpha = 0.25,
                                      .bias = Put(on, {n}, bias, type, placement),
                                      .activation = activation};
            if (keep_pre) arguments.pre_activation = Tensor::Empty(on, {m, n}, type);
            on.matmul().Matmul(arguments);
            results.push_back(arguments.out);
            if (keep_pre) results.push_back(arguments.pre_activation);
          };
          run(Activation::kNone, false);
          run(Activation::kRelu, false);
          run(Activation::kRelu, true);
          run(Activation::kGelu, false);
          run(Activation::kGelu, true);
          return results;
        },
        {pre, relu, relu, pre, gelu, gelu, pre});
  }
}

TEST_P(CudaProductsTest, SumsOverNothing) {
  const Tensor out = Tensor::Full(device(), {2, 3}, 5);
  const Tensor a = Tensor::Empty(device(), {2, 0});
  const Tensor b = Tensor::Empty(device(), {0, 3});
  device().matmul().Matmul({.a = a, .b = b, .out = out, .accumulate = true});
  EXPECT_EQ(Get(out), Numbers(6, 5.0));
  device().matmul().Matmul({.a = a,
                            .b = b,
                            .out = out,
                            .bias = Put(device(), {3}, {1, -2, 3}, DType::kFloat32),
                            .activation = Activation::kRelu});
  EXPECT_EQ(Get(out), (Numbers{1, 0, 3, 1, 0, 3}));
}

// Products of numbers that a mode holds exactly are exact in it; others are off by its rounding.
TEST_P(CudaProductsTest, ComputeModesRoundTheFactors) {
  const int64_t n = 64;
  const Numbers a = RandomNumbers(n * n, 10);
  const Numbers b = RandomNumbers(n * n, 11);
  const Numbers exact = Product(1, n, n, n, a, b);
  double largest = 0;
  for (const double value : exact) largest = std::max(largest, std::abs(value));
  const auto error_in = [&](cuda::ComputeMode mode) {
    device().set_compute_mode(mode);
    const Tensor out = Tensor::Empty(device(), {n, n});
    device().matmul().Matmul({.a = Put(device(), {n, n}, a, DType::kFloat32),
                              .b = Put(device(), {n, n}, b, DType::kFloat32),
                              .out = out});
    double error = 0;
    const Numbers values = Get(out);
    for (size_t i = 0; i < values.size(); ++i) {
      error = std::max(error, std::abs(values[i] - exact[i]) / largest);
    }
    return error;
  };
  EXPECT_LT(error_in(cuda::ComputeMode::kFloat32), 1e-6);
  EXPECT_LT(error_in(cuda::ComputeMode::kTf32), 2e-3);
  EXPECT_LT(error_in(cuda::ComputeMode::kBfloat16), 2e-2);
  if (device().kind() == DeviceKind::kCudaInterpreter) {
    EXPECT_GT(error_in(cuda::ComputeMode::kTf32), 1e-5);
    EXPECT_GT(error_in(cuda::ComputeMode::kBfloat16), 1e-4);
  }
}

struct ConvolutionSize {
  int64_t batch, length, in, out, width, pad;
};

TEST_P(CudaProductsTest, ConvolutionsAndTheirGradients) {
  for (const auto& [batch, length, in, out, width, pad] :
       {ConvolutionSize{2, 9, 3, 4, 3, 1}, ConvolutionSize{1, 5, 2, 1, 4, 3},
        ConvolutionSize{3, 7, 5, 2, 1, 0}, ConvolutionSize{2, 3, 1, 6, 5, 2}}) {
    const Shape x_shape{batch, length, in}, w_shape{width, in, out}, y_shape{batch, length, out};
    const Numbers x = RandomNumbers(x_shape.elements(), 12);
    const Numbers w = RandomNumbers(w_shape.elements(), 13);
    const Numbers bias = RandomNumbers(out, 14);
    const Numbers dy = RandomNumbers(y_shape.elements(), 15);
    Numbers y(dy.size()), dx(x.size(), 1.0), dw(w.size(), 1.0), dbias(out, 1.0);
    for (int64_t i = 0; i < batch * length * out; ++i) {
      const int64_t o = i % out, t = i / out % length, b = i / (out * length);
      y[i] = bias[o];
      dbias[o] += dy[i];
      for (int64_t k = 0; k < width; ++k) {
        const int64_t s = t + k - pad;
        for (int64_t c = 0; c < in && s >= 0 && s < length; ++c) {
          const int64_t at = (b * length + s) * in + c;
          const int64_t weight = (k * in + c) * out + o;
          y[i] += w[weight] * x[at];
          dx[at] += w[weight] * dy[i];
          dw[weight] += x[at] * dy[i];
        }
      }
    }
    Check(
        [&, pad = pad, out = out](Device& on, DType type) {
          Convolution1dArguments arguments{.x = Put(on, x_shape, x, type),
                                           .w = Put(on, w_shape, w, type),
                                           .bias = Put(on, {out}, bias, type),
                                           .y = Put(on, y_shape, dy, type, Placement::kGapped),
                                           .pad_left = pad};
          on.convolution().Convolve1d(arguments);
          const Tensor dx_out = Tensor::Full(on, x_shape, 1, type);
          const Tensor dw_out = Tensor::Full(on, w_shape, 1, type);
          const Tensor dbias_out = Tensor::Full(on, {out}, 1, type);
          on.convolution().Convolve1dBackward(arguments,
                                              Put(on, y_shape, dy, type, Placement::kGapped),
                                              dx_out, true, dw_out, dbias_out);
          return std::vector{arguments.y, dx_out, dw_out, dbias_out};
        },
        {y, dx, dw, dbias});
  }
}

// K blocks of q x p, L blocks of s x r.
struct MonarchSize {
  int64_t n, in, out, k_blocks, q, p, l_blocks, s, r;
};

// The dense matrix [out, in], from the definition of MonarchArguments.
Numbers DenseMonarch(const MonarchSize& size, const Numbers& w1, const Numbers& w2) {
  Numbers dense(static_cast<size_t>(size.out * size.in), 0.0);
  for (int64_t c = 0; c < size.k_blocks * size.q; ++c) {
    const int64_t k = c / size.q;
    const int64_t l = c % size.l_blocks;
    const int64_t t = c / size.l_blocks;
    for (int64_t i = 0; i < size.p && k * size.p + i < size.in; ++i) {
      for (int64_t u = 0; u < size.s && u * size.l_blocks + l < size.out; ++u) {
        dense[(u * size.l_blocks + l) * size.in + k * size.p + i] +=
            w2[(l * size.s + u) * size.r + t] * w1[c * size.p + i];
      }
    }
  }
  return dense;
}

TEST_P(CudaProductsTest, MonarchProducts) {
  for (const MonarchSize& size :
       {MonarchSize{5, 12, 12, 3, 4, 4, 4, 3, 3}, MonarchSize{1, 10, 7, 4, 2, 3, 4, 2, 2},
        MonarchSize{37, 50, 30, 4, 8, 13, 4, 8, 8}, MonarchSize{6, 6, 9, 2, 6, 3, 3, 3, 4}}) {
    const Shape w1_shape{size.k_blocks, size.q, size.p}, w2_shape{size.l_blocks, size.s, size.r};
    const Numbers x = RandomNumbers(size.n * size.in, 16);
    const Numbers w1 = RandomNumbers(w1_shape.elements(), 17);
    const Numbers w2 = RandomNumbers(w2_shape.elements(), 18);
    const Numbers bias = RandomNumbers(size.out, 19);
    const Numbers dense = DenseMonarch(size, w1, w2);
    Numbers y;
    for (int64_t row = 0; row < size.n; ++row) {
      for (int64_t o = 0; o < size.out; ++o) {
        double sum = bias[o];
        for (int64_t i = 0; i < size.in; ++i) sum += dense[o * size.in + i] * x[row * size.in + i];
        y.push_back(sum);
      }
    }
    Check(
        [&](Device& on, DType type) {
          const Tensor out = Tensor::Empty(on, {size.n, size.out}, type);
          on.structured().Monarch({.x = Put(on, {size.n, size.in}, x, type),
                                   .w1 = Put(on, w1_shape, w1, type),
                                   .w2 = Put(on, w2_shape, w2, type),
                                   .bias = Put(on, {size.out}, bias, type),
                                   .h = Tensor::Empty(on, {size.n, size.k_blocks * size.q}, type),
                                   .y = out});
          return std::vector{out};
        },
        {y});
  }
}

// The product is linear in each factor, so its gradients are those of the dense matrix, carried
// through DenseMonarch by differences that are exact up to rounding.
TEST_P(CudaProductsTest, GradientsOfMonarchProducts) {
  for (const MonarchSize& size :
       {MonarchSize{4, 10, 7, 4, 2, 3, 4, 2, 2}, MonarchSize{5, 6, 9, 2, 6, 3, 3, 3, 4}}) {
    const Shape w1_shape{size.k_blocks, size.q, size.p}, w2_shape{size.l_blocks, size.s, size.r};
    const Numbers x = RandomNumbers(size.n * size.in, 20);
    const Numbers dy = RandomNumbers(size.n * size.out, 21);
    const Numbers w1 = RandomNumbers(w1_shape.elements(), 22);
    const Numbers w2 = RandomNumbers(w2_shape.elements(), 23);
    const Numbers dense = DenseMonarch(size, w1, w2);
    Numbers dx(x.size(), 0.5), ddense(dense.size(), 0.0), dbias(size.out, 0.5);
    for (int64_t row = 0; row < size.n; ++row) {
      for (int64_t o = 0; o < size.out; ++o) {
        const double slope = dy[row * size.out + o];
        dbias[o] += slope;
        for (int64_t i = 0; i < size.in; ++i) {
          dx[row * size.in + i] += slope * dense[o * size.in + i];
          ddense[o * size.in + i] += slope * x[row * size.in + i];
        }
      }
    }
    const auto gradient = [&](bool first) {
      Numbers result;
      for (size_t j = 0; j < (first ? w1 : w2).size(); ++j) {
        Numbers unit((first ? w1 : w2).size(), 0.0);
        unit[j] = 1;
        const Numbers change = first ? DenseMonarch(size, unit, w2) : DenseMonarch(size, w1, unit);
        double sum = 0.5;
        for (size_t i = 0; i < change.size(); ++i) sum += change[i] * ddense[i];
        result.push_back(sum);
      }
      return result;
    };
    Check(
        [&](Device& on, DType type) {
          const MonarchArguments forward{
              .x = Put(on, {size.n, size.in}, x, type),
              .w1 = Put(on, w1_shape, w1, type),
              .w2 = Put(on, w2_shape, w2, type),
              .h = Tensor::Empty(on, {size.n, size.k_blocks * size.q}, type),
              .y = Tensor::Empty(on, {size.n, size.out}, type)};
          on.structured().Monarch(forward);
          const MonarchGradients gradients{.dy = Put(on, {size.n, size.out}, dy, type),
                                           .dx = Tensor::Full(on, {size.n, size.in}, 0.5, type),
                                           .accumulate_dx = true,
                                           .dw1 = Tensor::Full(on, w1_shape, 0.5, type),
                                           .dw2 = Tensor::Full(on, w2_shape, 0.5, type),
                                           .dbias = Tensor::Full(on, {size.out}, 0.5, type)};
          on.structured().MonarchBackward(forward, gradients);
          return std::vector{gradients.dx, gradients.dw1, gradients.dw2, gradients.dbias};
        },
        {dx, gradient(true), gradient(false), dbias});
  }
}

}  // namespace
}  // namespace trainyard
