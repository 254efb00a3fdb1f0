#include <algorithm>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/cpu/parallel_ranges.h"
#include "core/tensor/kernels/embedding_kernels.h"

namespace trainyard {
namespace {

template <typename T>
void GatherRow(const T* from, T scale, int64_t d, T* to) {
  for (int64_t j = 0; j < d; ++j) to[j] = scale * from[j];
}

template <typename T>
void AddRow(const T* from, T scale, int64_t d, T* to) {
  for (int64_t j = 0; j < d; ++j) to[j] += scale * from[j];
}

class CpuEmbeddingKernels : public EmbeddingKernels {
 public:
  explicit CpuEmbeddingKernels(CpuDevice& device) : device_(device) {}

  void Gather(const Tensor& table, const Tensor& indices, double scale,
              const Tensor& out) override {
    DispatchFloating(table.dtype(), "embedding", [&]<typename T>() {
      const int64_t d = table.size(1);
      const int32_t* const index = indices.data<int32_t>();
      ParallelRanges(device_.threads(), indices.elements(), 32768 / std::max<int64_t>(d, 1) + 1,
                     [&](int64_t begin, int64_t end) {
                       for (int64_t i = begin; i < end; ++i) {
                         T* const to = out.data<T>() + i * out.stride(0);
                         if (index[i] < 0) {
                           std::fill_n(to, d, T(0));
                         } else {
                           GatherRow(table.data<T>() + index[i] * d, static_cast<T>(scale), d, to);
                         }
                       }
                     });
    });
  }

  // Threads take bands of columns, so that each row of the table is added to in order.
  void ScatterAdd(const Tensor& indices, const Tensor& dy, double scale,
                  const Tensor& dtable) override {
    DispatchFloating(dy.dtype(), "embedding", [&]<typename T>() {
      const int64_t n = indices.elements();
      const int64_t d = dtable.size(1);
      const int32_t* const index = indices.data<int32_t>();
      ParallelRanges(device_.threads(), d, 32768 / std::max<int64_t>(n, 1) + 16,
                     [&](int64_t begin, int64_t end) {
                       for (int64_t i = 0; i < n; ++i) {
                         if (index[i] < 0) continue;
                         AddRow(dy.data<T>() + i * dy.stride(0) + begin, static_cast<T>(scale),
                                end - begin, dtable.data<T>() + index[i] * d + begin);
                       }
                     });
    });
  }

 private:
  CpuDevice& device_;
};

}  // namespace

std::unique_ptr<EmbeddingKernels> MakeCpuEmbeddingKernels(CpuDevice& device) {
  return std::make_unique<CpuEmbeddingKernels>(device);
}

}  // namespace trainyard
