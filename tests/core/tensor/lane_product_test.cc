#include "core/tensor/cpu/lane_product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace trainyard {
namespace {

std::vector<float> RandomValues(int64_t count, uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

struct Sizes {
  int64_t m;
  int64_t k;
  int64_t units;
  int64_t lanes;
  int64_t last_lanes;
};

// One lane, a part of a register, a register, several, several and a part; sizes around those of
// tiles and of blocks of steps; sums of nothing.
constexpr Sizes kSizes[] = {
    {1, 1, 1, 1, 1},   {6, 5, 64, 1, 1},    {13, 300, 70, 1, 1}, {30, 7, 16, 1, 1},
    {29, 9, 20, 2, 1}, {7, 11, 23, 3, 2},   {18, 140, 9, 4, 4},  {5, 6, 7, 7, 1},
    {14, 8, 9, 8, 8},  {3, 9, 4, 13, 5},    {19, 70, 9, 16, 16}, {4, 3, 2, 16, 1},
    {8, 9, 5, 17, 3},  {6, 130, 3, 40, 39}, {9, 4, 5, 64, 64},   {6, 2, 1, 33, 2},
    {5, 0, 4, 4, 4},   {2, 0, 33, 1, 1},    {1, 600, 1, 32, 7},  {200, 3, 130, 1, 1}};

enum class Order { kRowsOfA, kColumnsOfA };
enum class Layout { kStepsTogether, kUnitsTogether, kLanesTogether };

// Against sums in double, for an instruction set.
class LaneProductTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam() && !__builtin_cpu_supports("avx512f")) GTEST_SKIP() << "no AVX-512";
    functions_ = GetParam() ? Avx512LaneFunctions() : Avx2LaneFunctions();
  }

  // Lays the operands out and fills them; a has room for whole units, like its users' have.
  void Make(const Sizes& sizes, Order order, Layout layout) {
    const auto [m, k, units, lanes, last] = sizes;
    product_ = {.m = m, .k = k, .units = units, .lanes = lanes, .last_lanes = last};
    product_.a_row = order == Order::kRowsOfA ? k * lanes + 3 : lanes;
    product_.a_step = order == Order::kRowsOfA ? lanes : m * lanes + 5;
    a_ = RandomValues(std::max((m + 1) * product_.a_row, (k + 1) * product_.a_step), 1);
    if (layout == Layout::kStepsTogether) {
      product_.b_step = 1;
      product_.b_unit = k;
      product_.b_lane = k * units;
    } else if (layout == Layout::kUnitsTogether) {
      product_.b_unit = 1;
      product_.b_step = units;
      product_.b_lane = k * units;
    } else {
      product_.b_lane = 1;
      product_.b_unit = lanes;
      product_.b_step = units * lanes + 1;
    }
    b_ = RandomValues((k + 1) * (units * lanes + 1), 2);
    product_.c_unit = lanes;
    product_.c_row = (units - 1) * lanes + last + 2;
    c_ = RandomValues(m * product_.c_row, 3);
    bias_ = RandomValues(units * lanes, 4);
    product_.a = a_.data();
    product_.b = b_.data();
    product_.c = c_.data();
  }

  std::vector<double> Expected() const {
    std::vector<double> expected(c_.begin(), c_.end());
    for (int64_t i = 0; i < product_.m; ++i) {
      for (int64_t u = 0; u < product_.units; ++u) {
        const int64_t lanes = u + 1 < product_.units ? product_.lanes : product_.last_lanes;
        for (int64_t l = 0; l < lanes; ++l) {
          double& value = expected[i * product_.c_row + u * product_.c_unit + l];
          if (!product_.accumulate) value = 0;
          if (product_.bias != nullptr) value += product_.bias[u * product_.c_unit + l];
          for (int64_t k = 0; k < product_.k; ++k) {
            value += static_cast<double>(a_[i * product_.a_row + k * product_.a_step + l]) *
                     b_[k * product_.b_step + u * product_.b_unit + l * product_.b_lane];
          }
        }
      }
    }
    return expected;
  }

  void ExpectC(const std::vector<double>& expected) {
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(c_[i], expected[i], 2e-6 * static_cast<double>(10 + product_.k)) << i;
    }
  }

  LaneFunctions functions_;
  LaneProduct product_;
  std::vector<float> a_;
  std::vector<float> b_;
  std::vector<float> c_;
  std::vector<float> bias_;
  std::vector<float> scratch_ = std::vector<float>(kLaneScratch);
};

INSTANTIATE_TEST_SUITE_P(InstructionSets, LaneProductTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& set) {
                           return set.param ? "Avx512" : "Avx2";
                         });

template <typename Check>
void ForEachCase(Check check) {
  for (const Sizes& sizes : kSizes) {
    for (const Order order : {Order::kRowsOfA, Order::kColumnsOfA}) {
      for (const Layout layout :
           {Layout::kStepsTogether, Layout::kUnitsTogether, Layout::kLanesTogether}) {
        SCOPED_TRACE(testing::Message()
                     << sizes.m << " x " << sizes.units << " x " << sizes.lanes << ", " << sizes.k
                     << " steps, order " << static_cast<int>(order) << ", layout "
                     << static_cast<int>(layout));
        check(sizes, order, layout);
      }
    }
  }
}

TEST_P(LaneProductTest, AgreesWithSumsInDouble) {
  ForEachCase([this](const Sizes& sizes, Order order, Layout layout) {
    for (const bool bias : {false, true}) {
      for (const bool accumulate : {false, true}) {
        Make(sizes, order, layout);
        product_.bias = bias ? bias_.data() : nullptr;
        product_.accumulate = accumulate;
        const std::vector<double> expected = Expected();
        MultiplyLanes(product_, scratch_.data(), functions_);
        ExpectC(expected);
      }
    }
  });
}

TEST_P(LaneProductTest, PackedOperandsServePartsOfTheRows) {
  ForEachCase([this](const Sizes& sizes, Order order, Layout layout) {
    Make(sizes, order, layout);
    product_.bias = bias_.data();
    const std::vector<double> expected = Expected();
    std::vector<float> packed(PackedSize(product_, functions_) + 1, 7.0F);
    PackLanes(product_, packed.data(), functions_);
    ASSERT_EQ(packed.back(), 7.0F);
    const int64_t half = sizes.m / 2;
    for (const LaneProduct& part : {product_.Rows(0, half), product_.Rows(half, sizes.m)}) {
      MultiplyPackedLanes(part, packed.data(), scratch_.data(), functions_);
    }
    ExpectC(expected);
  });
}

TEST_P(LaneProductTest, PartsMakeTheWhole) {
  ForEachCase([this](const Sizes& sizes, Order order, Layout layout) {
    Make(sizes, order, layout);
    product_.bias = bias_.data();
    const std::vector<double> expected = Expected();
    const int64_t width = functions_.width;
    const int64_t cut = sizes.units / 2;
    for (int64_t lane = 0; lane < sizes.lanes; lane += width) {
      const LaneProduct phase = sizes.lanes <= width
                                    ? product_
                                    : product_.Lanes(lane, std::min(lane + width, sizes.lanes));
      if (cut > 0 && phase.units > cut) {
        MultiplyLanes(phase.Units(0, cut), scratch_.data(), functions_);
        MultiplyLanes(phase.Units(cut, phase.units), scratch_.data(), functions_);
      } else {
        MultiplyLanes(phase, scratch_.data(), functions_);
      }
    }
    ExpectC(expected);
  });
}

}  // namespace
}  // namespace trainyard
