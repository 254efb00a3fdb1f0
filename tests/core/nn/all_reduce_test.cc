// Sums over threads: reference are sums by hand.
#include <thread>
#include <vector>

#include "core/nn/training/thread_all_reduce.h"
#include "core/tensor/cpu/cpu_device.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/nn/nn_test_support.h"

namespace trainyard::nn {
namespace {

TEST(ThreadAllReduceTest, EveryWorkerHasTheSums) {
  constexpr int kWorkers = 3;
  std::vector<std::unique_ptr<AllReduce>> ends = MakeThreadAllReduce(kWorkers);
  std::vector<std::vector<double>> tensors(kWorkers);
  std::vector<std::vector<double>> numbers(kWorkers);
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < kWorkers; ++rank) {
    threads.emplace_back([&, rank] {
      CpuDevice device(1);
      for (int round = 0; round < 50; ++round) {
        const Tensor a = Tensor::Full(device, {7}, rank + round, DType::kFloat32);
        const Tensor b = Tensor::Full(device, {2, 1}, 10 * rank, DType::kFloat64);
        std::vector<double> values = {1, static_cast<double>(rank)};
        ASSERT_TRUE(ends[rank]->Sum(std::vector{a, b}).ok());
        ASSERT_TRUE(ends[rank]->Sum(values).ok());
        tensors[rank] = Doubles(a);
        tensors[rank].push_back(b.Slice(0, 1, 1).Item());
        numbers[rank] = values;
      }
    });
  }
  threads.clear();
  for (int rank = 0; rank < kWorkers; ++rank) {
    EXPECT_THAT(tensors[rank], testing::ElementsAre(150, 150, 150, 150, 150, 150, 150, 30));
    EXPECT_THAT(numbers[rank], testing::ElementsAre(3, 3));
  }
}

TEST(ThreadAllReduceTest, AWorkerThatLeavesEndsTheWaitOfOthers) {
  std::vector<std::unique_ptr<AllReduce>> ends = MakeThreadAllReduce(2);
  absl::Status status;
  std::jthread other([&] {
    std::vector<double> values = {1};
    status = ends[0]->Sum(values);
  });
  ends[1]->Leave();
  other.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  std::vector<double> values = {1};
  EXPECT_EQ(ends[0]->Sum(values).code(), absl::StatusCode::kAborted);
}

TEST(ThreadAllReduceTest, WorkersThatDifferAreTold) {
  std::vector<std::unique_ptr<AllReduce>> ends = MakeThreadAllReduce(2);
  absl::Status status[2];
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < 2; ++rank) {
    threads.emplace_back([&, rank] {
      std::vector<double> values(static_cast<size_t>(rank) + 1);
      status[rank] = ends[rank]->Sum(values);
    });
  }
  threads.clear();
  EXPECT_EQ(status[0].code(), absl::StatusCode::kInternal);
  EXPECT_EQ(status[1].code(), absl::StatusCode::kInternal);
}

TEST(ThreadAllReduceTest, OneWorkerIsAlone) {
  std::vector<std::unique_ptr<AllReduce>> ends = MakeThreadAllReduce(1);
  std::vector<double> values = {4};
  EXPECT_TRUE(ends[0]->Sum(values).ok());
  EXPECT_THAT(values, testing::ElementsAre(4));
}

}  // namespace
}  // namespace trainyard::nn
