#include "core/tensor/cuda/interpreter/block_interpreter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "core/tensor/cuda/interpreter/interpreted_platform.h"
#include "core/tensor/cuda/launch.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

using ::testing::HasSubstr;

// Kernels of these tests share a block size and synchronise.
template <int kBlockThreads>
struct TestKernel {
  static constexpr const char* kName = "test_kernel";
  static constexpr int kThreads = kBlockThreads;
  static constexpr bool kSynchronizes = true;
};

class BlockInterpreterTest : public ::testing::TestWithParam<ThreadOrder> {
 protected:
  template <typename Kernel>
  void Run(const Kernel& kernel, size_t shared_bytes = 0, Grid grid = {}) {
    Launch(*platform_, grid, kernel, shared_bytes);
  }
  // The message of the error that `kernel` ends with.
  template <typename Kernel>
  std::string ErrorOf(const Kernel& kernel, size_t shared_bytes = 0) {
    try {
      Run(kernel, shared_bytes);
    } catch (const TensorError& error) {
      EXPECT_EQ(error.status().code(), absl::StatusCode::kInternal);
      return error.what();
    }
    return "no error";
  }
  std::unique_ptr<Platform> platform_ = MakeInterpretedPlatform(GetParam());
};

std::string OrderName(const ::testing::TestParamInfo<ThreadOrder>& order) {
  switch (order.param) {
    case ThreadOrder::kAscending:
      return "Ascending";
    case ThreadOrder::kDescending:
      return "Descending";
    case ThreadOrder::kShuffled:
      return "Shuffled";
  }
  return "";
}

INSTANTIATE_TEST_SUITE_P(AllOrders, BlockInterpreterTest,
                         ::testing::Values(ThreadOrder::kAscending, ThreadOrder::kDescending,
                                           ThreadOrder::kShuffled),
                         &OrderName);

// Every thread writes its number and reads its neighbour's, again and again.
struct RotateKernel : TestKernel<96> {
  int* out;
  int rounds;
  template <typename Context>
  void operator()(Context& context) const {
    auto shared = context.template Shared<int>(96);
    const int thread = context.thread();
    shared[thread] = thread;
    for (int round = 0; round < rounds; ++round) {
      context.Sync();
      const int next = shared[(thread + 1) % 96];
      context.Sync();
      shared[thread] = next;
    }
    out[thread] = shared[thread];
  }
};

TEST_P(BlockInterpreterTest, BarriersOrderAccessesToSharedMemory) {
  std::vector<int> out(96);
  RotateKernel kernel{{}, out.data(), 7};
  Run(kernel, 96 * sizeof(int));
  for (int i = 0; i < 96; ++i) EXPECT_EQ(out[i], (i + 7) % 96);
}

struct NoBarrierKernel : TestKernel<96> {
  int* out;
  template <typename Context>
  void operator()(Context& context) const {
    auto shared = context.template Shared<int>(96);
    const int thread = context.thread();
    shared[thread] = thread;
    out[thread] = shared[(thread + 1) % 96];
  }
};

TEST(BlockInterpreterOrderTest, MissingBarrierGivesOtherResultsInOtherOrders) {
  std::vector<std::vector<int>> results;
  for (const ThreadOrder order :
       {ThreadOrder::kAscending, ThreadOrder::kDescending, ThreadOrder::kShuffled}) {
    const std::unique_ptr<Platform> platform = MakeInterpretedPlatform(order);
    std::vector<int> out(96);
    NoBarrierKernel kernel{{}, out.data()};
    Launch(*platform, Grid{}, kernel, 96 * sizeof(int));
    results.push_back(out);
  }
  EXPECT_NE(results[0], results[1]);
  EXPECT_NE(results[0], results[2]);
  EXPECT_NE(results[1], results[2]);
}

struct ReduceKernel : TestKernel<256> {
  const float* in;
  float* out;
  template <typename Context>
  void operator()(Context& context) const {
    auto partial = context.template Shared<float>(8);
    const int thread = context.thread();
    float sum = in[context.block() * 256 + thread];
    for (int lanes = 16; lanes > 0; lanes /= 2) sum += context.ShuffleXor(sum, lanes);
    if (thread % 32 == 0) partial[thread / 32] = sum;
    context.Sync();
    if (thread < 32) {
      sum = thread < 8 ? partial[thread] : 0;
      sum = context.WarpReduce(sum, [](float a, float b) { return a + b; });
      if (thread == 0) out[context.block()] = sum;
    }
  }
};

TEST_P(BlockInterpreterTest, ShufflesReduceEachBlock) {
  std::vector<float> in(3 * 256);
  std::iota(in.begin(), in.end(), 1.0F);
  std::vector<float> out(3);
  ReduceKernel kernel{{}, in.data(), out.data()};
  Run(kernel, 8 * sizeof(float), Grid{3});
  // Sums of arithmetic series, exact in float32.
  for (int b = 0; b < 3; ++b) EXPECT_EQ(out[b], 256.0F * (256 * b + 1 + 256 * (b + 1)) / 2);
}

struct ShuffleKernel : TestKernel<32> {
  std::array<int, 32>* out;
  template <typename Context>
  void operator()(Context& context) const {
    const int lane = context.thread();
    out[0][lane] = context.Shuffle(lane * lane, 5);
    out[1][lane] = context.ShuffleXor(lane, 3);
    out[2][lane] = context.ShuffleDown(lane, 30);
  }
};

TEST_P(BlockInterpreterTest, ShufflesReadTheLanesThatCudaNames) {
  std::array<std::array<int, 32>, 3> out{};
  ShuffleKernel kernel{{}, out.data()};
  Run(kernel);
  for (int lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(out[0][lane], 25);
    EXPECT_EQ(out[1][lane], lane ^ 3);
    EXPECT_EQ(out[2][lane], lane + 30 < 32 ? lane + 30 : lane);
  }
}

// Halves of a warp take different ways, with exchanges of their own.
struct DivergentKernel : TestKernel<64> {
  int* out;
  template <typename Context>
  void operator()(Context& context) const {
    const int thread = context.thread();
    int value = thread;
    if (thread % 32 < 16) {
      for (int round = 0; round < 3; ++round) value += context.ShuffleXor(value, 1, 0xffff);
    } else {
      value = context.ShuffleXor(value, 4, 0xffff0000);
    }
    context.Sync();
    out[thread] = value;
  }
};

TEST_P(BlockInterpreterTest, PartsOfAWarpExchangeOnTheirOwn) {
  std::vector<int> out(64);
  DivergentKernel kernel{{}, out.data()};
  Run(kernel);
  for (int i = 0; i < 64; ++i) {
    // Three sums with the partner: i + (i ^ 1), doubled twice.
    const int expected = i % 32 < 16 ? 4 * (i + (i ^ 1)) : i ^ 4;
    EXPECT_EQ(out[i], expected) << i;
  }
}

struct HistogramKernel : TestKernel<128> {
  int32_t* counts;
  template <typename Context>
  void operator()(Context& context) const {
    context.AtomicAdd(&counts[context.thread() % 5], 1);
  }
};

TEST_P(BlockInterpreterTest, AtomicsCount) {
  std::vector<int32_t> counts(5);
  HistogramKernel kernel{{}, counts.data()};
  Run(kernel, 0, Grid{2, 3, 4});
  EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), 0), 2 * 3 * 4 * 128);
  EXPECT_EQ(counts[0], 24 * 26);
}

struct SkippedBarrierKernel : TestKernel<64> {
  template <typename Context>
  void operator()(Context& context) const {
    if (context.thread() != 37) context.Sync();
  }
};

TEST_P(BlockInterpreterTest, BarrierThatAThreadDoesNotReachIsAnError) {
  EXPECT_EQ(ErrorOf(SkippedBarrierKernel{}),
            "kernel test_kernel, block (0, 0, 0): thread 0 waits at a barrier that thread 37 does "
            "not reach");
}

struct SkippedShuffleKernel : TestKernel<64> {
  template <typename Context>
  void operator()(Context& context) const {
    if (context.thread() != 40) context.ShuffleXor(1, 1);
  }
};

TEST_P(BlockInterpreterTest, ShuffleThatALaneDoesNotReachIsAnError) {
  EXPECT_THAT(ErrorOf(SkippedShuffleKernel{}),
              HasSubstr("thread 32 waits in an exchange that thread 40 does not reach"));
}

struct ForeignLaneKernel : TestKernel<32> {
  template <typename Context>
  void operator()(Context& context) const {
    if (context.thread() < 16) context.Shuffle(1, 20, 0xffff);
  }
};

TEST_P(BlockInterpreterTest, ReadingALaneOutsideOfTheMaskIsAnError) {
  EXPECT_THAT(ErrorOf(ForeignLaneKernel{}), HasSubstr("lane 20, which takes no part"));
}

struct SharedKernel : TestKernel<32> {
  int count;
  int index;
  template <typename Context>
  void operator()(Context& context) const {
    auto shared = context.template Shared<double>(count);
    if (context.thread() == 3) shared[index] = 1;
  }
};

TEST_P(BlockInterpreterTest, SharedMemoryBeyondTheLaunchIsAnError) {
  EXPECT_EQ(ErrorOf(SharedKernel{{}, 10, 9}, 80), "no error");
  EXPECT_THAT(ErrorOf(SharedKernel{{}, 11, 0}, 80), HasSubstr("shared memory up to byte 88 of 80"));
  EXPECT_THAT(ErrorOf(SharedKernel{{}, 10, 10}, 80), HasSubstr("thread 3: element 10 of 10"));
  EXPECT_THAT(ErrorOf(SharedKernel{{}, 10, 0}, size_t{49} << 10), HasSubstr("at most 49152"));
}

struct UnwrittenKernel : TestKernel<32> {
  float* out;
  template <typename Context>
  void operator()(Context& context) const {
    auto shared = context.template Shared<float>(32);
    out[context.thread()] = shared[context.thread()];
  }
};

TEST_P(BlockInterpreterTest, UnwrittenSharedMemoryIsNotANumber) {
  std::vector<float> out(32);
  UnwrittenKernel kernel{{}, out.data()};
  Run(kernel, 128);
  // NaN differs from itself.
  for (const float value : out) EXPECT_NE(value, value);
}

TEST_P(BlockInterpreterTest, GoesOnAfterAnError) {
  EXPECT_NE(ErrorOf(SkippedBarrierKernel{}), "no error");
  std::vector<int> out(96);
  RotateKernel kernel{{}, out.data(), 1};
  Run(kernel, 96 * sizeof(int));
  EXPECT_EQ(out[95], 0);
}

}  // namespace
}  // namespace trainyard::cuda
