#include "core/tensor/cpu/serial_gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "core/tensor/cpu/eigen_gemm.h"

namespace trainyard {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> RandomValues(int64_t count, uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

struct Operand {
  Operand(int64_t rows, int64_t columns, int64_t gap, uint64_t seed)
      : stride(columns + gap), values(RandomValues(std::max<int64_t>(rows, 1) * stride, seed)) {}
  float At(int64_t row, int64_t column) const { return values[row * stride + column]; }
  int64_t stride;
  std::vector<float> values;
};

using Gemm = void (*)(const GemmShape&, float, const float*, int64_t, const float*, int64_t, float,
                      float*, int64_t);

// Against sums in double, within the bound of the rounding errors of a sum of k products.
void ExpectProduct(Gemm gemm, const GemmShape& shape, float alpha, float beta) {
  const auto [m, n, k, transpose_a, transpose_b] = shape;
  SCOPED_TRACE(testing::Message() << m << " x " << n << " x " << k << " " << transpose_a
                                  << transpose_b << " " << alpha << " " << beta);
  const Operand a(transpose_a ? k : m, transpose_a ? m : k, 3, 1);
  const Operand b(transpose_b ? n : k, transpose_b ? k : n, 5, 2);
  Operand c(m, n, 2, 3);
  const Operand before = c;
  if (beta == 0) std::fill(c.values.begin(), c.values.end(), kNan);
  gemm(shape, alpha, a.values.data(), a.stride, b.values.data(), b.stride, beta, c.values.data(),
       c.stride);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      double magnitude = 0;
      for (int64_t t = 0; t < k; ++t) {
        const double product = static_cast<double>(transpose_a ? a.At(t, i) : a.At(i, t)) *
                               (transpose_b ? b.At(j, t) : b.At(t, j));
        sum += product;
        magnitude += std::abs(product);
      }
      const double expected = alpha * sum + (beta == 0 ? 0 : beta * before.At(i, j));
      const double scale = std::abs(alpha) * magnitude + std::abs(expected) + 1e-30;
      ASSERT_NEAR(c.At(i, j), expected, 1e-6 * scale) << i << ", " << j;
    }
  }
}

void ExpectProducts(Gemm gemm) {
  for (const bool transpose_a : {false, true}) {
    for (const bool transpose_b : {false, true}) {
      for (const auto& [m, n, k] : {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1},
                                    {1, 7, 5},
                                    {7, 1, 5},
                                    {3, 4, 1},
                                    {17, 33, 65},
                                    {64, 64, 64},
                                    {101, 203, 307},
                                    {5, 6, 0}}) {
        const GemmShape shape{m, n, k, transpose_a, transpose_b};
        ExpectProduct(gemm, shape, 1, 0);
        ExpectProduct(gemm, shape, 1, 1);
        ExpectProduct(gemm, shape, -0.5F, 2);
      }
    }
  }
}

TEST(SerialGemmTest, AgreesWithSumsInDouble) {
  ExpectProducts([](const GemmShape& shape, float alpha, const float* a, int64_t a_stride,
                    const float* b, int64_t b_stride, float beta, float* c, int64_t c_stride) {
    SerialGemm(shape, alpha, a, a_stride, b, b_stride, beta, c, c_stride);
  });
}

TEST(SerialGemmTest, AgreesWithSumsInDoubleWithoutOneDnn) { ExpectProducts(EigenGemm<float>); }

TEST(SerialGemmTest, StrideOfOneRowMayBeAnything) {
  const std::vector<float> a = {1, 2, 3};
  const std::vector<float> b = {4, 5, 6};
  float c = 0;
  SerialGemm({1, 1, 3}, 1.0F, a.data(), 0, b.data(), 1, 0.0F, &c, 0);
  EXPECT_EQ(c, 32);
}

TEST(SerialGemmTest, EmptyProductLeavesMemoryAlone) {
  float c = 7;
  SerialGemm({0, 4, 2}, 1.0F, nullptr, 2, nullptr, 4, 0.0F, &c, 4);
  SerialGemm({4, 0, 2}, 1.0F, nullptr, 2, nullptr, 0, 0.0F, &c, 0);
  EXPECT_EQ(c, 7);
}

// Nothing but the shape decides the bits: neither the place in memory nor other threads.
TEST(SerialGemmTest, ManyThreadsComputeTheSameBits) {
  constexpr int64_t kSize = 97;
  const std::vector<float> a = RandomValues(kSize * kSize, 1);
  const std::vector<float> b = RandomValues(kSize * kSize, 2);
  std::vector<std::vector<float>> results(4);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < results.size(); ++t) {
    threads.emplace_back([&, t] {
      std::vector<float> shifted(kSize * kSize + t);
      std::copy(a.begin(), a.end(), shifted.begin() + static_cast<int64_t>(t));
      results[t].resize(kSize * kSize);
      for (int repetition = 0; repetition < 10; ++repetition) {
        SerialGemm({kSize, kSize, kSize}, 1.0F, shifted.data() + t, kSize, b.data(), kSize, 0.0F,
                   results[t].data(), kSize);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<float>& result : results) EXPECT_EQ(result, results[0]);
}

}  // namespace
}  // namespace trainyard
