#include <memory>

#include "core/tensor/cuda/cuda_device.h"
#include "core/tensor/cuda/cuda_kernels.h"
#include "core/tensor/cuda/embedding.h"
#include "core/tensor/kernels/embedding_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

class CudaEmbeddingKernels : public EmbeddingKernels {
 public:
  explicit CudaEmbeddingKernels(CudaDevice& device) : device_(device) {}

  void Gather(const Tensor& table, const Tensor& indices, double scale,
              const Tensor& out) override {
    if (out.elements() == 0) return;
    const GatherArguments arguments{.table = table.raw_data(),
                                    .indices = indices.data<int32_t>(),
                                    .count = indices.elements(),
                                    .columns = table.size(1),
                                    .scale = scale,
                                    .out = out.raw_data(),
                                    .out_stride = out.stride(0)};
    DispatchFloating(table.dtype(), "gather",
                     [&]<typename T>() { LaunchGather<T>(device_.platform(), arguments); });
  }

  void ScatterAdd(const Tensor& indices, const Tensor& dy, double scale,
                  const Tensor& dtable) override {
    if (dy.elements() == 0) return;
    const int64_t count = indices.elements();
    const auto buffer = [&](int64_t size) { return Tensor::Empty(device_, {size}, DType::kInt32); };
    const Tensor keys = buffer(count);
    const Tensor positions = buffer(count);
    const Tensor other_keys = buffer(count);
    const Tensor other_positions = buffer(count);
    const Tensor digit_counts = buffer(DigitCountsOf(count));
    LaunchSortPositions(device_.platform(),
                        {.keys = indices.data<int32_t>(),
                         .count = count,
                         .largest_key = static_cast<int32_t>(dtable.size(0) - 1),
                         .sorted_keys = keys.data<int32_t>(),
                         .positions = positions.data<int32_t>(),
                         .other_keys = other_keys.data<int32_t>(),
                         .other_positions = other_positions.data<int32_t>(),
                         .digit_counts = digit_counts.data<int32_t>()});
    const AddRunsArguments arguments{.keys = keys.data<int32_t>(),
                                     .positions = positions.data<int32_t>(),
                                     .count = count,
                                     .columns = dtable.size(1),
                                     .scale = scale,
                                     .dy = dy.raw_data(),
                                     .dy_stride = dy.stride(0),
                                     .table = dtable.raw_data()};
    DispatchFloating(dtable.dtype(), "scatter",
                     [&]<typename T>() { LaunchAddRuns<T>(device_.platform(), arguments); });
  }

 private:
  CudaDevice& device_;
};

}  // namespace

std::unique_ptr<EmbeddingKernels> MakeEmbeddingKernels(CudaDevice& device) {
  return std::make_unique<CudaEmbeddingKernels>(device);
}

}  // namespace trainyard::cuda
