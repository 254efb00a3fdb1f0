// Rotary and relative positions beside formulas in float64.
#include <cmath>

#include "core/tensor/kernels/position_kernels.h"
#include "tests/core/tensor/cuda/kernel_test.h"

namespace trainyard {
namespace {

class CudaPositionTest : public CudaKernelTest {};
INSTANTIATE_CUDA_KERNEL_TEST(CudaPositionTest);

constexpr int64_t kBatch = 2, kLength = 13, kHeads = 3, kSize = 10, kHalf = kSize / 2;

// x [kBatch, kLength, kHeads, kSize] turned by the angles of `positions` [kBatch, kLength].
Numbers Rotated(const Numbers& x, const Numbers& positions, RotaryPairing pairing, bool inverse) {
  Numbers out(x.size());
  for (int64_t row = 0; row < kBatch * kLength * kHeads; ++row) {
    for (int64_t i = 0; i < kHalf; ++i) {
      const double sign = inverse ? -1 : 1;
      const double angle =
          sign * positions[row / kHeads] * std::pow(100.0, -static_cast<double>(i) / kHalf);
      const int64_t p = row * kSize + (pairing == RotaryPairing::kHalves ? i : 2 * i);
      const int64_t q = p + (pairing == RotaryPairing::kHalves ? kHalf : 1);
      out[p] = x[p] * std::cos(angle) - x[q] * std::sin(angle);
      out[q] = x[p] * std::sin(angle) + x[q] * std::cos(angle);
    }
  }
  return out;
}

TEST_P(CudaPositionTest, RotatesByPosition) {
  const Shape shape{kBatch, kLength, kHeads, kSize};
  const Numbers x = RandomNumbers(shape.elements(), 1);
  const std::vector<int32_t> given = RandomIntegers(kBatch * kLength, 0, 50, 2);
  for (const RotaryPairing pairing : {RotaryPairing::kHalves, RotaryPairing::kNeighbors}) {
    for (const bool inverse : {false, true}) {
      for (const bool explicit_positions : {false, true}) {
        Numbers positions;
        for (int64_t i = 0; i < kBatch * kLength; ++i) {
          positions.push_back(explicit_positions ? given[i] : 4 + i % kLength);
        }
        const Numbers turned = Rotated(x, positions, pairing, inverse);
        Numbers added = turned;
        for (double& value : added) value += 1;
        Check(
            [&](Device& on, DType type) {
              const Tensor in_place = Put(on, shape, x, type, Placement::kGapped);
              RotaryArguments arguments{.x = in_place,
                                        .out = in_place,
                                        .first = explicit_positions ? 0 : 4,
                                        .base = 100,
                                        .pairing = pairing,
                                        .inverse = inverse};
              if (explicit_positions) {
                arguments.positions = PutIntegers(on, {kBatch, kLength}, given);
              }
              on.position().Rotary(arguments);
              // Heads before positions in memory.
              arguments.x =
                  Put(on, shape, x, type).Permuted({0, 2, 1, 3}).Clone().Permuted({0, 2, 1, 3});
              arguments.out = Tensor::Full(on, shape, 1, type);
              arguments.accumulate = true;
              on.position().Rotary(arguments);
              return std::vector{in_place, arguments.out};
            },
            {turned, added}, 2e-6, 1e-11);
      }
    }
  }
}

TEST_P(CudaPositionTest, RotatesOneHead) {
  const Numbers x = RandomNumbers(7 * 4, 3);
  Numbers expected;
  for (int64_t i = 0; i < 7; ++i) {
    const double a = static_cast<double>(i);
    const double b = static_cast<double>(i) / 100;
    const double* row = &x[4 * i];
    expected.insert(
        expected.end(),
        {row[0] * std::cos(a) - row[2] * std::sin(a), row[1] * std::cos(b) - row[3] * std::sin(b),
         row[0] * std::sin(a) + row[2] * std::cos(a), row[1] * std::sin(b) + row[3] * std::cos(b)});
  }
  Check(
      [&](Device& on, DType type) {
        const Tensor out = Tensor::Empty(on, {1, 7, 4}, type);
        on.position().Rotary({.x = Put(on, {1, 7, 4}, x, type), .out = out});
        return std::vector{out};
      },
      {expected});
}

TEST_P(CudaPositionTest, Sinusoids) {
  Numbers expected;
  for (int64_t i = 0; i < 9; ++i) {
    for (int64_t j = 0; j < 6; ++j) {
      const double angle =
          static_cast<double>(5 + i) * std::pow(1000.0, -static_cast<double>(j % 3) / 3);
      expected.push_back(j < 3 ? std::sin(angle) : std::cos(angle));
    }
  }
  Check(
      [&](Device& on, DType type) {
        const Tensor out = Tensor::Empty(on, {9, 6}, type);
        on.position().Sinusoid(5, 1000, out);
        return std::vector{out};
      },
      {expected});
}

TEST_P(CudaPositionTest, ToeplitzMatricesAndTheirGradients) {
  for (const auto& [n, m] : {std::pair<int64_t, int64_t>{6, 9}, {11, 4}, {1, 5}}) {
    const Numbers w = RandomNumbers(n + m - 1, 4);
    const Numbers d = RandomNumbers(3 * n * m, 5);
    Numbers matrix;
    Numbers dw(w.size(), 2.0);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < m; ++j) {
        matrix.push_back(w[i - j + m - 1]);
        for (int64_t b = 0; b < 3; ++b) dw[i - j + m - 1] += d[(b * n + i) * m + j];
      }
    }
    Check(
        [&, n = n, m = m](Device& on, DType type) {
          const Tensor out = Tensor::Empty(on, {n, m}, type);
          on.position().Toeplitz(Put(on, {n + m - 1}, w, type), out);
          const Tensor gradient = Tensor::Full(on, {n + m - 1}, 2, type);
          on.position().ToeplitzBackward(Put(on, {3, n, m}, d, type), gradient);
          return std::vector{out, gradient};
        },
        {matrix, dw});
  }
}

}  // namespace
}  // namespace trainyard
