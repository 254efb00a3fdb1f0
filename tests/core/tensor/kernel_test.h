// What tests of the CPU's kernels share: every test runs with one and two threads, in both types.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <tuple>
#include <vector>

#include "core/tensor/cpu/cpu_device.h"
#include "tests/core/tensor/host_tensors.h"
#include "tests/core/tensor/layouts.h"

namespace trainyard {

class KernelTest : public testing::TestWithParam<std::tuple<int, DType>> {
 protected:
  Tensor Random(const Shape& shape, uint64_t seed, Layout layout = Layout::kContiguous) {
    return RandomInLayout(device_, shape, type_, layout, seed);
  }
  Tensor Of(const Shape& shape, const std::vector<double>& values) {
    return FromDoubles(device_, shape, type_, values);
  }
  Tensor Integers(const Shape& shape, const std::vector<int32_t>& values) {
    return Tensor::FromValues<int32_t>(device_, shape, values);
  }
  bool is_double() const { return type_ == DType::kFloat64; }
  double tolerance() const { return is_double() ? 1e-13 : 2e-6; }

  // Within `tolerance` of `size` + |expected|, where sizes of terms are that of what is summed.
  static void ExpectNear(const Tensor& actual, const std::vector<double>& expected,
                         double tolerance, double size = 1) {
    const std::vector<double> values = Doubles(actual);
    ASSERT_EQ(values.size(), expected.size());
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(values[i], expected[i], tolerance * (size + std::abs(expected[i]))) << i;
    }
  }

  // Makes the result of `compute` with one and with two threads and expects the same bits.
  template <typename Compute>
  static void ExpectSameBitsForAnyThreads(const Compute& compute) {
    CpuDevice one(1);
    CpuDevice two(2);
    CpuDevice five(5);
    const std::vector<double> expected = Doubles(compute(one));
    for (int repetition = 0; repetition < 2; ++repetition) {
      ASSERT_EQ(Doubles(compute(two)), expected);
      ASSERT_EQ(Doubles(compute(five)), expected);
    }
  }

  const DType type_ = std::get<1>(GetParam());
  CpuDevice device_{std::get<0>(GetParam())};
};

#define TRAINYARD_INSTANTIATE_KERNEL_TEST(Suite)                                      \
  INSTANTIATE_TEST_SUITE_P(                                                           \
      All, Suite,                                                                     \
      testing::Values(std::tuple(1, DType::kFloat32), std::tuple(2, DType::kFloat32), \
                      std::tuple(2, DType::kFloat64)))

}  // namespace trainyard
