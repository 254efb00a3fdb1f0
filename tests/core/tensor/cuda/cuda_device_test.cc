// Copies, memory and graphs of the device.
#include "core/tensor/cuda/cuda_device.h"

#include <gmock/gmock.h>

#include <numeric>

#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/kernels/matmul_kernels.h"
#include "core/tensor/kernels/random_kernels.h"
#include "core/tensor/kernels/reduction_kernels.h"
#include "core/tensor/tensor_error.h"
#include "tests/core/tensor/cuda/kernel_test.h"

namespace trainyard {
namespace {

class CudaDeviceTest : public CudaKernelTest {};
INSTANTIATE_CUDA_KERNEL_TEST(CudaDeviceTest);

absl::StatusCode CodeOf(const std::function<void()>& function) {
  try {
    function();
  } catch (const TensorError& error) {
    return error.status().code();
  }
  return absl::StatusCode::kOk;
}

TEST_P(CudaDeviceTest, CopiesLargerThanTheStagingBuffers) {
  std::vector<int32_t> values((9 << 20) / 4 + 17);
  std::iota(values.begin(), values.end(), 0);
  const Shape shape{static_cast<int64_t>(values.size())};
  const Tensor there = Tensor::FromValues<int32_t>(device(), shape, values);
  EXPECT_TRUE(there.Clone().ToVector<int32_t>() == values);
  EXPECT_FALSE(device().is_host());
}

TEST_P(CudaDeviceTest, MovesTensorsBetweenDevices) {
  const Numbers values = RandomNumbers(35, 1);
  const Tensor here = Put(cpu(), {5, 7}, values, DType::kFloat32);
  const Tensor there = here.Transposed().To(device());
  EXPECT_EQ(&there.device(), static_cast<Device*>(&device()));
  EXPECT_EQ(Get(there.Transposed().To(cpu())), values);
  EXPECT_EQ(there.Select(0, 2).Select(0, 3).Item(), values[3 * 7 + 2]);
}

TEST_P(CudaDeviceTest, OutOfMemoryIsAnErrorAndNotTheEnd) {
  EXPECT_EQ(CodeOf([&] { Tensor::Empty(device(), {int64_t{1} << 60}, DType::kUint8); }),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Tensor::Full(device(), {3}, 2).Select(0, 1).Item(), 2);
}

// y = x w; loss = sum of (y + dropout noise)^2.
struct Step {
  Tensor x, w, noise, y, loss;
  uint64_t stream = 7;

  explicit Step(Device& on)
      : x(Put(on, {6, 4}, RandomNumbers(24, 2), DType::kFloat32)),
        w(Put(on, {4, 5}, RandomNumbers(20, 3), DType::kFloat32)) {}

  void Run(Device& on) {
    y = Tensor::Empty(on, {6, 5});
    on.matmul().Matmul({.a = x, .b = w, .out = y});
    noise = Tensor::Empty(on, {6, 5});
    on.random().Uniform({.seed = 1, .stream = stream}, 0, 1, noise);
    const Tensor square = Tensor::Empty(on, {6, 5});
    on.elementwise().Binary(BinaryOp::kAdd, y, noise, square);
    on.elementwise().Unary(UnaryOp::kSquare, square, square);
    loss = Tensor::Empty(on, {1, 1});
    on.reduction().Reduce(ReduceOp::kSum, square, 1, loss, false);
  }
};

TEST_P(CudaDeviceTest, GraphsReplayWithNewInputsAndNewRandomNumbers) {
  Step captured(device());
  const std::unique_ptr<CudaGraph> graph = device().Capture([&] { captured.Run(device()); });
  for (uint64_t step = 0; step < 3; ++step) {
    const Tensor x = Put(device(), {6, 4}, RandomNumbers(24, 10 + step), DType::kFloat32);
    captured.x.CopyFrom(x);
    graph->Replay(step);
    Step plain(device());
    plain.x = x;
    plain.stream = 7 + step;
    plain.Run(device());
    EXPECT_EQ(Get(captured.y), Get(plain.y));
    EXPECT_EQ(Get(captured.noise), Get(plain.noise));
    EXPECT_EQ(captured.loss.Item(), plain.loss.Item());
  }
}

TEST_P(CudaDeviceTest, GraphsComputeNothingWhileCapturing) {
  const Tensor x = Tensor::Full(device(), {4}, 1);
  const std::unique_ptr<CudaGraph> graph =
      device().Capture([&] { device().elementwise().Affine(x, 2, 1, x, false); });
  EXPECT_EQ(Get(x), Numbers(4, 1.0));
  graph->Replay();
  EXPECT_EQ(Get(x), Numbers(4, 3.0));
  graph->Replay();
  EXPECT_EQ(Get(x), Numbers(4, 7.0));
}

// Memory that the graph works in is not handed to others between replays, and tensors in it outlive
// the graph.
TEST_P(CudaDeviceTest, GraphsKeepTheirMemory) {
  const Tensor x = Tensor::Full(device(), {1000}, 1);
  Tensor kept;
  std::unique_ptr<CudaGraph> graph = device().Capture([&] {
    const Tensor temporary = Tensor::Empty(device(), {1000});
    device().elementwise().Affine(x, 1, 1, temporary, false);
    kept = Tensor::Empty(device(), {1000});
    device().elementwise().Affine(temporary, 10, 0, kept, false);
  });
  graph->Replay();
  std::vector<Tensor> others;
  for (int i = 0; i < 5; ++i) others.push_back(Tensor::Full(device(), {1000}, i));
  graph->Replay();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Get(others[i]), Numbers(1000, i));
  graph.reset();
  EXPECT_EQ(Get(kept), Numbers(1000, 20.0));
}

TEST_P(CudaDeviceTest, CapturedWorkMustNotTouchTheHost) {
  const Tensor x = Tensor::Full(device(), {2}, 1);
  EXPECT_EQ(CodeOf([&] { device().Capture([&] { x.ToVector<float>(); }); }),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf([&] { device().Capture([&] { device().Capture([] {}); }); }),
            absl::StatusCode::kFailedPrecondition);
  // The device goes on.
  EXPECT_EQ(Get(x), Numbers(2, 1.0));
  device().Capture([&] { x.Fill(5); })->Replay();
  EXPECT_EQ(Get(x), Numbers(2, 5.0));
}

}  // namespace
}  // namespace trainyard
