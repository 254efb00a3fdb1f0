#include "core/tensor/cpu/bias_backward.h"

#include <immintrin.h>

#include <algorithm>

#include "core/tensor/cpu/element_blocks.h"
#include "core/tensor/cpu/element_loop.h"
#include "core/tensor/cpu/parallel_ranges.h"
#include "core/tensor/kernels/reduction_kernels.h"

namespace trainyard {
namespace {

// Sums of so many rows are taken in lanes of T.
constexpr int64_t kMostRows = 256;
constexpr int64_t kChunkElements = 32768;
// Less is done by the caller alone.
constexpr int64_t kSerialElements = 16384;

template <typename T>
void Backward(CpuDevice& device, Activation activation, const T* saved, const Tensor& dy,
              const Tensor& dx, const Tensor& dbias, bool accumulate_bias) {
  const int64_t n = dx.size(0);
  const int64_t d = dx.size(1);
  const int64_t length =
      std::clamp<int64_t>(kChunkElements / std::max<int64_t>(d, 1), 16, kMostRows);
  const Tensor sums = Tensor::Zeros(device, {(n + length - 1) / length, d}, DTypeOf<T>());
  const bool stream = 3 * dx.bytes() >= kStreamedBytes && dx.raw_data() != dy.raw_data() &&
                      dx.raw_data() != saved && d * sizeof(T) % 64 == 0 &&
                      reinterpret_cast<uintptr_t>(dx.raw_data()) % 64 == 0;
  const auto rows_backward = BlocksOf<T>().activation_backward_rows[static_cast<int>(activation)];
  ParallelChunks(device.threads(), n, length, kSerialElements / std::max<int64_t>(d, 1) + 1,
                 [&](int64_t chunk, int64_t begin, int64_t end) {
                   Block<T> block;
                   block.count = d;
                   block.in[0] = saved + begin * d;
                   block.in[1] = dy.data<T>() + begin * d;
                   block.out[0] = dx.data<T>() + begin * d;
                   block.stream = stream;
                   rows_backward(block, end - begin, sums.data<T>() + chunk * d);
                   if (stream) _mm_sfence();
                 });
  device.reduction().Reduce(ReduceOp::kSum, sums, 1, dbias.Unsqueezed(0), accumulate_bias);
}

}  // namespace

void BackwardWithBias(CpuDevice& device, Activation activation, const Tensor& saved,
                      const Tensor& dy, const Tensor& dx, const Tensor& dbias,
                      bool accumulate_bias) {
  DispatchFloating(dx.dtype(), "bias", [&]<typename T>() {
    // What is not read may be anything.
    const T* const numbers = activation == Activation::kNone ? dy.data<T>() : saved.data<T>();
    Backward(device, activation, numbers, dy, dx, dbias, accumulate_bias);
  });
}

}  // namespace trainyard
