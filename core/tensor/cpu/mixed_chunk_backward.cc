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

// The gradient of the global part by queries, then, from the last window to the first, what belongs
// to keys and values.
template <typename T>
void RunWithGlobal(ThreadPool& threads, const MixedChunkViews<T>& views,
                   const MixedChunkGradientViews<T>& gradients) {
  const std::vector<ChunkWindow> windows = views.Windows(threads.threads());
  LocalBackward<T> local(views, gradients, threads.threads());
  const GlobalBackward<T> global(views, gradients, threads.threads());
  if (views.gate.defined() && !views.ungated.defined()) {
    const LocalForward<T> again(views, gradients.dgate, threads.threads());
    for (const ChunkWindow& window : windows) {
      again.Run(threads, window);
      global.RunQueries(threads, window);
    }
  } else {
    global.RunQueries(threads, views.Everything());
  }
  global.AddParts(threads, gradients.dlin_q);
  for (size_t i = windows.size(); i-- > 0;) {
    local.Run(threads, windows[i]);
    global.RunKeys(threads, windows[i]);
  }
  global.AddParts(threads, gradients.dlin_k);
  local.AddBias(threads);
}

template <typename T>
void RunLocal(ThreadPool& threads, const MixedChunkViews<T>& views,
              const MixedChunkGradientViews<T>& gradients) {
  if (views.gate.defined() && !views.ungated.defined()) {
    LocalForward<T>(views, gradients.dgate, threads.threads()).Run(threads, views.Everything());
  }
  LocalBackward<T> local(views, gradients, threads.threads());
  local.Run(threads, views.Everything());
  local.AddBias(threads);
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

template <typename T>
void Run(CpuDevice& device, const MixedChunkArguments& forward,
         const MixedChunkGradients& gradient_tensors) {
  const MixedChunkViews<T> views(forward);
  const MixedChunkGradientViews<T> gradients(gradient_tensors);
  if (forward.global) {
    RunWithGlobal(device.threads(), views, gradients);
  } else {
    RunLocal(device.threads(), views, gradients);
  }
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
