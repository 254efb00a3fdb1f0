// Mixed chunk attention: chunks by themselves, then the sum of states carried through them.
#include <algorithm>

#include "core/tensor/cpu/cpu_attention.h"
#include "core/tensor/cpu/mixed_chunk_parts.h"

namespace trainyard::cpu_attention {
namespace {

// ungated = out, out *= gate, and padding, for rows of a chunk and some columns.
template <typename T>
void Finish(const MixedChunkViews<T>& views, int64_t batch, int64_t chunk, int64_t column,
            int64_t width) {
  views.ClearPadding(views.out, batch, chunk, column, width);
  if (!views.gate.defined() && !views.ungated.defined()) return;
  const RowRange range = views.SegmentsOf(batch).Rows(chunk);
  for (int64_t row = range.first; row < range.end; ++row) {
    T* const out = views.out.At(batch, row, column);
    T* const ungated = views.ungated.defined() ? views.ungated.At(batch, row, column) : nullptr;
    const T* const gate = views.gate.defined() ? views.gate.At(batch, row, column) : nullptr;
    if (gate == nullptr) {
      std::copy_n(out, width, ungated);
    } else if (ungated == nullptr) {
      for (int64_t j = 0; j < width; ++j) out[j] *= gate[j];
    } else {
      for (int64_t j = 0; j < width; ++j) {
        ungated[j] = out[j];
        out[j] *= gate[j];
      }
    }
  }
}

template <typename T>
void Run(CpuDevice& device, const MixedChunkArguments& arguments) {
  ThreadPool& threads = device.threads();
  const MixedChunkViews<T> views(arguments);
  const LocalForward<T> local(views, views.out, threads.threads());
  if (!arguments.global) {
    local.Run(threads, views.Everything());
    threads.Run(views.batches * views.chunks(), [&](int64_t task, int) {
      Finish(views, task / views.chunks(), task % views.chunks(), 0, views.e);
    });
    return;
  }
  const StateSums<T> sums(views, ColumnsOfTask(views.batches, views.e, threads.threads()));
  for (const ChunkWindow& window : views.Windows(threads.threads())) {
    local.Run(threads, window);
    threads.Run(window.batches() * sums.tasks_of_sequence(), [&](int64_t task, int) {
      const int64_t batch = window.first_batch + task / sums.tasks_of_sequence();
      const int64_t column = task % sums.tasks_of_sequence() * sums.columns();
      for (int64_t chunk = window.first_chunk; chunk < window.end_chunk; ++chunk) {
        sums.Advance(batch, chunk, column);
        sums.AddTo(views.out, batch, chunk, column);
        Finish(views, batch, chunk, column, sums.WidthOf(column));
      }
    });
  }
}

}  // namespace

void MixedChunk(CpuDevice& device, const MixedChunkArguments& arguments) {
  if (arguments.out.elements() == 0) return;
  DispatchFloating(arguments.v.dtype(), "mixed chunk attention",
                   [&]<typename T>() { Run<T>(device, arguments); });
}

}  // namespace trainyard::cpu_attention
