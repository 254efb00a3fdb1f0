#include "core/tensor/cpu/score_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/tensor/cpu/score_row_functions.h"
#include "gtest/gtest.h"

namespace trainyard {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<ScoreRowFunctions> AllFunctions() {
  std::vector<ScoreRowFunctions> all = {Avx2ScoreRows()};
  if (__builtin_cpu_supports("avx512f")) all.push_back(Avx512ScoreRows());
  return all;
}

std::vector<float> RandomRow(int64_t n, float size) {
  std::mt19937_64 random(static_cast<uint64_t>(n) + 1);
  std::normal_distribution<float> normal(0, size);
  std::vector<float> row(static_cast<size_t>(n));
  for (float& value : row) value = normal(random);
  return row;
}

TEST(ScoreRowsTest, MaximumOfEveryLength) {
  for (const auto& functions : AllFunctions()) {
    EXPECT_EQ(functions.maximum(nullptr, 0), -kInfinity);
    for (int64_t n = 1; n < 200; ++n) {
      const std::vector<float> row = RandomRow(n, 10);
      EXPECT_EQ(functions.maximum(row.data(), n), *std::max_element(row.begin(), row.end()));
    }
  }
}

TEST(ScoreRowsTest, PowersMatchTheLibrary) {
  for (const auto& functions : AllFunctions()) {
    for (int64_t n = 0; n < 200; ++n) {
      std::vector<float> row = RandomRow(n, 30);
      row.push_back(123);  // not of the row
      const std::vector<float> scores = row;
      const float sum = functions.exponentiate(row.data(), n, 3.25F);
      double expected_sum = 0;
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
        const double expected = std::exp2(static_cast<double>(scores[i] - 3.25F));
        // Half of the last place of a subnormal number.
        EXPECT_NEAR(row[i], expected, expected * 2.4e-7 + 0x1p-150);
        expected_sum += expected;
      }
      EXPECT_NEAR(sum, expected_sum, expected_sum * 1e-6);
      EXPECT_EQ(row.back(), 123);
    }
  }
}

TEST(ScoreRowsTest, PowersAtTheEdges) {
  for (const auto& functions : AllFunctions()) {
    std::vector<float> row = {-kInfinity, -1e30F, -126, -149, -160, 0, 127, 128, 1e30F, kInfinity};
    row.push_back(std::numeric_limits<float>::quiet_NaN());
    functions.exponentiate(row.data(), static_cast<int64_t>(row.size()), 0);
    EXPECT_EQ(row[0], 0);
    EXPECT_EQ(row[1], 0);
    EXPECT_EQ(row[2], 0x1p-126F);
    EXPECT_EQ(row[3], 0x1p-149F);
    EXPECT_EQ(row[4], 0);
    EXPECT_EQ(row[5], 1);
    EXPECT_EQ(row[6], 0x1p127F);
    EXPECT_EQ(row[7], kInfinity);
    EXPECT_EQ(row[8], kInfinity);
    EXPECT_TRUE(std::isnan(row[10]));
  }
}

TEST(ScoreRowsTest, GradientsMatchTheFormula) {
  for (const auto& functions : AllFunctions()) {
    for (const int64_t n : {1, 7, 8, 9, 16, 31, 33, 100}) {
      std::vector<float> weights = RandomRow(n, 2);
      std::vector<float> gradients = RandomRow(n + 1000, 1);
      const std::vector<float> scores = weights;
      const std::vector<float> before = gradients;
      functions.differentiate(weights.data(), gradients.data(), n, 1.5F, 0.25F, 0.125F);
      for (size_t i = 0; i < before.size(); ++i) {
        if (i >= static_cast<size_t>(n)) {
          EXPECT_EQ(gradients[i], before[i]);
          continue;
        }
        const double weight = std::exp2(scores[i] - 1.5);
        const double expected = 0.125 * weight * (before[i] - 0.25);
        EXPECT_NEAR(weights[i], weight, weight * 2.4e-7);
        EXPECT_NEAR(gradients[i], expected, std::abs(expected) * 1e-6 + 1e-9);
      }
    }
  }
}

TEST(ScoreRowsTest, SquaredRectifierMatchesTheFormula) {
  for (const auto& functions : AllFunctions()) {
    for (int64_t n = 0; n < 70; ++n) {
      for (const bool with_bias : {false, true}) {
        const std::vector<float> scores = RandomRow(n + 1, 2);
        const std::vector<float> before = RandomRow(n + 2, 1);
        const std::vector<float> bias = RandomRow(n + 3, 1);
        std::vector<float> squares = scores;
        functions.square_rectified(squares.data(), with_bias ? bias.data() : nullptr, n);
        std::vector<float> weights = scores;
        std::vector<float> gradients = before;
        functions.differentiate_square(weights.data(), gradients.data(),
                                       with_bias ? bias.data() : nullptr, n, 0.5F);
        for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
          const float p = std::max(scores[i] + (with_bias ? bias[i] : 0), 0.0F);
          EXPECT_EQ(squares[i], p * p);
          EXPECT_EQ(weights[i], p * p);
          EXPECT_NEAR(gradients[i], before[i] * 0.5F * p, std::abs(before[i] * p) * 1e-6F);
        }
        const auto end = static_cast<size_t>(n);
        EXPECT_EQ(squares[end], scores[end]);
        EXPECT_EQ(gradients[end], before[end]);
      }
    }
  }
}

}  // namespace
}  // namespace trainyard
