#include <algorithm>

#include "core/tensor/cpu/cpu_attention.h"
#include "core/tensor/cpu/mixed_chunk_backward_parts.h"

namespace trainyard::cpu_attention {

template <typename T>
OutputGradient<T> UngatedGradient(const MixedChunkViews<T>& views,
                                  const MixedChunkGradientViews<T>& gradients, int64_t batch,
                                  RowRange rows, int64_t column, int64_t width, T* scratch) {
  if (!views.gate.defined()) {
    return {gradients.dout.At(batch, rows.first, column), gradients.dout.stride()};
  }
  for (int64_t row = rows.first; row < rows.end; ++row) {
    const T* const dout = gradients.dout.At(batch, row, column);
    const T* const gate = views.gate.At(batch, row, column);
    T* const to = scratch + (row - rows.first) * width;
    for (int64_t j = 0; j < width; ++j) to[j] = dout[j] * gate[j];
  }
  return {scratch, width};
}

template <typename T>
void GateGradient(const MixedChunkViews<T>& views, const MixedChunkGradientViews<T>& gradients,
                  int64_t batch, int64_t chunk, int64_t column, int64_t width) {
  const RowRange range = views.SegmentsOf(batch).Rows(chunk);
  for (int64_t row = range.first; row < range.end; ++row) {
    T* const to = gradients.dgate.At(batch, row, column);
    const T* const dout = gradients.dout.At(batch, row, column);
    const T* const ungated = views.ungated.defined() ? views.ungated.At(batch, row, column) : to;
    for (int64_t j = 0; j < width; ++j) to[j] = dout[j] * ungated[j];
  }
  views.ClearPadding(gradients.dgate, batch, chunk, column, width);
}

namespace {

template <typename T>
void Run(CpuDevice& device, const MixedChunkArguments& forward,
         const MixedChunkGradients& gradient_tensors) {
  ThreadPool& threads = device.threads();
  const MixedChunkViews<T> views(forward);
  const MixedChunkGradientViews<T> gradients(gradient_tensors);
  if (views.gate.defined() && !views.ungated.defined()) {
    LocalForward<T>(views, gradients.dgate, threads.threads()).Run(threads, 0, views.chunks());
  }
  LocalBackward<T>(views, gradients, threads.threads()).Run(threads);
  if (forward.global) {
    GlobalBackward<T>(views, gradients, threads.threads()).Run(threads);
    return;
  }
  threads.Run(views.batches * views.chunks(), [&](int64_t task, int) {
    const int64_t batch = task / views.chunks();
    const int64_t chunk = task % views.chunks();
    if (views.gate.defined()) GateGradient(views, gradients, batch, chunk, 0, views.e);
    const RowRange range = views.SegmentsOf(batch).Rows(chunk);
    for (int64_t row = range.first; row < range.end; ++row) {
      for (const Rows<T>& unused : {gradients.dlin_q, gradients.dlin_k}) {
        if (unused.defined()) std::fill_n(unused.At(batch, row), views.s, T{0});
      }
    }
  });
}

}  // namespace

void MixedChunkBackward(CpuDevice& device, const MixedChunkArguments& forward,
                        const MixedChunkGradients& gradients) {
  if (forward.v.elements() == 0) return;
  DispatchFloating(forward.v.dtype(), "mixed chunk attention",
                   [&]<typename T>() { Run<T>(device, forward, gradients); });
}

#define TRAINYARD_INSTANTIATE(T)                                                                   \
  template OutputGradient<T> UngatedGradient(const MixedChunkViews<T>&,                            \
                                             const MixedChunkGradientViews<T>&, int64_t, RowRange, \
                                             int64_t, int64_t, T*);                                \
  template void GateGradient(const MixedChunkViews<T>&, const MixedChunkGradientViews<T>&,         \
                             int64_t, int64_t, int64_t, int64_t);
TRAINYARD_INSTANTIATE(float)
TRAINYARD_INSTANTIATE(double)
#undef TRAINYARD_INSTANTIATE

}  // namespace trainyard::cpu_attention
