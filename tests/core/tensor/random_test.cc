// Philox against the vectors that its authors publish; distributions by their moments and bins.
#include <algorithm>

#include "core/tensor/kernels/philox.h"
#include "core/tensor/kernels/random_kernels.h"
#include "tests/core/tensor/kernel_test.h"

namespace trainyard {
namespace {

// Random123's kat_vectors, philox4x32 with 10 rounds: counter, key, result.
TEST(PhiloxTest, KnownAnswers) {
  const auto words = [](uint64_t seed, uint64_t stream, uint64_t block) {
    const PhiloxBlock result = Philox(seed, stream, block);
    return std::vector<uint32_t>(result.words, result.words + 4);
  };
  EXPECT_EQ(words(0, 0, 0),
            (std::vector<uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(words(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}),
            (std::vector<uint32_t>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  // Counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0: the digits of pi.
  EXPECT_EQ(words(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88),
            (std::vector<uint32_t>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

class RandomTest : public KernelTest {
 protected:
  static constexpr RandomStream kStream = {.seed = 0x123456789abcdef, .stream = 42};
};
TRAINYARD_INSTANTIATE_KERNEL_TEST(RandomTest);

TEST_P(RandomTest, UniformNumbersAreTheWordsOfTheStream) {
  for (const int64_t n : {1, 3, 4, 63, 64, 65, 1001, 100'003}) {
    const Tensor out = Tensor::Zeros(device_, {n}, type_);
    device_.random().Uniform(kStream, -1, 3, out);
    const std::vector<double> values = Doubles(out);
    for (int64_t i = 0; i < n; ++i) {
      const PhiloxBlock block = Philox(kStream.seed, kStream.stream, static_cast<uint64_t>(i / 4));
      const double u = static_cast<double>(block.words[i % 4] >> 8) / (1 << 24);
      ASSERT_NEAR(values[i], 4 * u - 1, is_double() ? 0 : 1.3e-7) << i;
    }
  }
}

TEST_P(RandomTest, NormalNumbersAreThoseOfBoxAndMuller) {
  const int64_t n = 10'001;
  const Tensor out = Tensor::Zeros(device_, {n}, type_);
  device_.random().Normal(kStream, 2, 0.5, out);
  const std::vector<double> values = Doubles(out);
  for (int64_t i = 0; i < n; ++i) {
    const PhiloxBlock block = Philox(kStream.seed, kStream.stream, static_cast<uint64_t>(i / 4));
    const int first = i % 4 / 2 * 2;
    const double u1 = ((block.words[first] >> 8) + 1) / 16777216.0;
    const double angle = 2 * std::acos(-1.0) * (block.words[first + 1] >> 8) / 16777216.0;
    const double radius = std::sqrt(-2 * std::log(u1));
    ASSERT_NEAR(values[i], 2 + 0.5 * radius * (i % 2 == 0 ? std::cos(angle) : std::sin(angle)),
                is_double() ? 1e-14 : 4e-7);
  }
}

TEST_P(RandomTest, MomentsOfTheNormalDistribution) {
  const int64_t n = 200'000;
  const Tensor out = Tensor::Zeros(device_, {n}, type_);
  device_.random().Normal(kStream, 0, 1, out);
  std::array<double, 5> moments{};
  for (const double x : Doubles(out)) {
    for (int k = 1; k <= 4; ++k) moments[k] += std::pow(x, k) / n;
  }
  // Four standard errors of each moment.
  const double unit = 4 / std::sqrt(n);
  EXPECT_NEAR(moments[1], 0, unit);
  EXPECT_NEAR(moments[2], 1, unit * std::sqrt(2.0));
  EXPECT_NEAR(moments[3], 0, unit * std::sqrt(15.0));
  EXPECT_NEAR(moments[4], 3, unit * std::sqrt(96.0));
}

TEST_P(RandomTest, UniformNumbersFillTheirBinsEvenly) {
  const int64_t n = 200'000;
  const Tensor out = Tensor::Zeros(device_, {n}, type_);
  device_.random().Uniform({.seed = 1, .stream = 7}, 0, 1, out);
  std::array<int, 50> bins{};
  for (const double u : Doubles(out)) {
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    ++bins[static_cast<size_t>(u * 50)];
  }
  double chi_squared = 0;
  for (const int count : bins) chi_squared += std::pow(count - n / 50.0, 2) / (n / 50.0);
  // 49 degrees of freedom: above 95 with a probability of 1e-4.
  EXPECT_LT(chi_squared, 95);
}

TEST_P(RandomTest, DropoutKeepsWhatTheUniformNumbersSay) {
  for (const int64_t n : {1, 5, 64, 1003, 70'001}) {
    const Tensor x = Random({n}, 1);
    const Tensor y = Random({n}, 2);
    const Tensor u = Tensor::Zeros(device_, {n}, type_);
    device_.random().Uniform(kStream, 0, 1, u);
    const std::vector<double> numbers = Doubles(x);
    std::vector<double> expected = Doubles(y);
    for (int64_t i = 0; i < n; ++i) {
      expected[i] += At(u, {i}) < 0.3 ? 0 : numbers[i] / 0.7;
    }
    device_.random().Dropout(kStream, 0.3, x, y, /*accumulate=*/true);
    ExpectNear(y, expected, tolerance());
    device_.random().Dropout(kStream, 0.3, x, x, /*accumulate=*/false);
    for (int64_t i = 0; i < n; ++i) expected[i] = At(u, {i}) < 0.3 ? 0 : numbers[i] / 0.7;
    ExpectNear(x, expected, tolerance());
  }
}

TEST_P(RandomTest, DropoutOfNothingKeepsAll) {
  const Tensor x = Random({1000}, 1);
  const Tensor y = Random({1000}, 2);
  device_.random().Dropout(kStream, 0, x, y, false);
  EXPECT_EQ(Doubles(x), Doubles(y));
}

TEST_P(RandomTest, StreamsAndSeedsDiffer) {
  std::vector<std::vector<double>> all;
  for (const RandomStream stream : {RandomStream{1, 1}, RandomStream{1, 2}, RandomStream{2, 1}}) {
    const Tensor out = Tensor::Zeros(device_, {100}, type_);
    device_.random().Uniform(stream, 0, 1, out);
    for (const std::vector<double>& other : all) {
      const std::vector<double> values = Doubles(out);
      int equal = 0;
      for (size_t i = 0; i < 100; ++i) equal += values[i] == other[i] ? 1 : 0;
      EXPECT_LT(equal, 2);
    }
    all.push_back(Doubles(out));
  }
}

}  // namespace
}  // namespace trainyard
