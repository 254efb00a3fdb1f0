#include <algorithm>

#include "core/tensor/cpu/cpu_attention.h"
#include "core/tensor/cpu/mixed_chunk_backward_parts.h"

namespace trainyard::cpu_attention {

template <typename T>
void DifferentiateGate(const MixedChunkViews<T>& views, const MixedChunkGradientViews<T>& gradients,
                       int64_t batch, int64_t chunk, int64_t column, int64_t width) {
  if (!views.gate.defined()) return;
  const RowRange range = views.SegmentsOf(batch).Rows(chunk);
  for (int64_t row = range.first; row < range.end; ++row) {
    const T* const dout = gradients.dout.At(batch, row, column);
    const T* const gate = views.gate.At(batch, row, column);
    T* const dungated = gradients.dungated.At(batch, row, column);
    T* const dgate = gradients.dgate.At(batch, row, column);
    const T* const ungated = views.ungated.defined() ? views.ungated.At(batch, row, column) : dgate;
    for (int64_t j = 0; j < width; ++j) {
      dungated[j] = dout[j] * gate[j];
      dgate[j] = dout[j] * ungated[j];
    }
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
  threads.Run(views.batches * views.chunks(), [&](int64_t task, int) {
    const int64_t batch = task / views.chunks();
    const int64_t chunk = task % views.chunks();
    DifferentiateGate(views, gradients, batch, chunk, 0, views.e);
    const RowRange range = views.SegmentsOf(batch).Rows(chunk);
    for (int64_t row = range.first; row < range.end; ++row) {
      for (const Rows<T>& unused : {gradients.dlin_q, gradients.dlin_k}) {
        if (unused.defined()) std::fill_n(unused.At(batch, row), views.s, T{0});
      }
    }
  });
  LocalBackward<T> local(views, gradients, threads.threads());
  local.Run(threads, views.Everything());
  local.AddBias(threads);
}

template <typename T>
void Run(CpuDevice& device, const MixedChunkArguments& forward,
         const MixedChunkGradients& gradient_tensors) {
  const MixedChunkViews<T> views(forward);
  const MixedChunkGradientViews<T> gradients(views, gradient_tensors);
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

template void DifferentiateGate(const MixedChunkViews<float>&,
                                const MixedChunkGradientViews<float>&, int64_t, int64_t, int64_t,
                                int64_t);
template void DifferentiateGate(const MixedChunkViews<double>&,
                                const MixedChunkGradientViews<double>&, int64_t, int64_t, int64_t,
                                int64_t);

}  // namespace trainyard::cpu_attention
