// Random numbers: the same bits as on the CPU, of the right distribution.
#include <cmath>

#include "core/tensor/kernels/philox.h"
#include "core/tensor/kernels/random_kernels.h"
#include "tests/core/tensor/cuda/kernel_test.h"

namespace trainyard {
namespace {

class CudaRandomTest : public CudaKernelTest {};
INSTANTIATE_CUDA_KERNEL_TEST(CudaRandomTest);

constexpr RandomStream kStream{.seed = 0x123456789abcdef, .stream = 5};

// Known answers of Philox4x32-10 from its authors' Random123 distribution (kat_vectors).
TEST(PhiloxTest, KnownAnswers) {
  const auto words = [](const PhiloxBlock& block) {
    return std::vector<uint32_t>(block.words, block.words + 4);
  };
  EXPECT_EQ(words(Philox(0, 0, 0)),
            (std::vector<uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(words(Philox(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0})),
            (std::vector<uint32_t>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  // The counter 243f6a88 85a308d3 13198a2e 03707344 and the key a4093822 299f31d0, low words first.
  EXPECT_EQ(words(Philox(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88)),
            (std::vector<uint32_t>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxTest, LogarithmAndCircleAreThoseOfTheLibrary) {
  for (uint32_t k = 0; k < (1U << 24); k += 9973) {
    EXPECT_NEAR(LogOfUniform(k + 1), std::log((k + 1.0) * 0x1p-24), 4e-15) << k;
    const SineCosine direction = SineCosineOfTurn(k);
    const double angle = 2 * M_PI * k * 0x1p-24;
    EXPECT_NEAR(direction.sine, std::sin(angle), 1e-15) << k;
    EXPECT_NEAR(direction.cosine, std::cos(angle), 1e-15) << k;
  }
  EXPECT_EQ(LogOfUniform(1U << 24), 0);
}

TEST_P(CudaRandomTest, SameBitsAsOnTheCpu) {
  for (const DType type : {DType::kFloat32, DType::kFloat64}) {
    const auto numbers = [&](Device& on) {
      const Tensor uniform = Tensor::Empty(on, {1031}, type);
      on.random().Uniform(kStream, -2, 3, uniform);
      const Tensor normal = Tensor::Empty(on, {17, 31}, type);
      on.random().Normal(kStream, 0.5, 2, normal);
      const Tensor dropped = Tensor::Empty(on, {999}, type);
      on.random().Dropout(kStream, 0.3, uniform.Slice(0, 0, 999), dropped, false);
      return std::vector{Get(uniform), Get(normal), Get(dropped)};
    };
    EXPECT_EQ(numbers(device()), numbers(cpu()));
  }
}

// One compiler may fuse the addition into the multiplication, another not: equal up to rounding.
TEST_P(CudaRandomTest, DropoutIsAddedToWhatIsThere) {
  const Numbers x = RandomNumbers(999, 1);
  const auto dropout = [&](Device& on, DType type, bool accumulate) {
    const Tensor y = Tensor::Full(on, {999}, accumulate ? 1 : 0, type);
    on.random().Dropout(kStream, 0.3, Put(on, {999}, x, type), y, accumulate);
    return std::vector{y};
  };
  Numbers expected = Get(dropout(cpu(), DType::kFloat64, false)[0]);
  for (double& value : expected) value += 1;
  Check([&](Device& on, DType type) { return dropout(on, type, true); }, {expected});
}

TEST_P(CudaRandomTest, MomentsOfTheNormalDistribution) {
  const int64_t n = 100000;
  const Tensor x = Tensor::Empty(device(), {n}, DType::kFloat64);
  device().random().Normal(kStream, 3, 2, x);
  double mean = 0, square = 0, fourth = 0;
  for (const double value : Get(x)) {
    const double z = (value - 3) / 2;
    mean += z / n;
    square += z * z / n;
    fourth += z * z * z * z / n;
  }
  // Within five standard errors.
  EXPECT_NEAR(mean, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(square, 1, 5 * std::sqrt(2.0 / n));
  EXPECT_NEAR(fourth, 3, 5 * std::sqrt(96.0 / n));
}

TEST_P(CudaRandomTest, DropoutKeepsTheExpectationAndRepeats) {
  const int64_t n = 20000;
  const Tensor x = Tensor::Full(device(), {n}, 1);
  const Tensor y = Tensor::Empty(device(), {n});
  device().random().Dropout(kStream, 0.25, x, y, false);
  const Numbers values = Get(y);
  int64_t kept = 0;
  for (const double value : values) {
    EXPECT_TRUE(value == 0 || value == static_cast<double>(1 / 0.75F)) << value;
    kept += value != 0 ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(kept) / n, 0.75, 5 * std::sqrt(0.75 * 0.25 / n));
  device().random().Dropout(kStream, 0.25, x, x, false);
  EXPECT_EQ(Get(x), values);
}

}  // namespace
}  // namespace trainyard
