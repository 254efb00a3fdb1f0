#include <algorithm>

#include "core/tensor/cpu/mixed_chunk_backward_parts.h"

namespace trainyard::cpu_attention {

template <typename T>
GlobalBackward<T>::GlobalBackward(const MixedChunkViews<T>& views,
                                  const MixedChunkGradientViews<T>& gradients, int threads)
    : views_(views),
      gradients_(gradients),
      sums_(views, ColumnsOfTask(views.batches, views.e, threads)),
      plans_(PlansOf(views, true)) {
  for (int64_t task = 1; task < sums_.tasks_of_sequence(); ++task) {
    partial_.push_back(Tensor::Empty(views.arguments.v.device(),
                                     {views.batches, views.rows, views.s}, DTypeOf<T>()));
  }
}

template <typename T>
Rows<T> GlobalBackward<T>::Target(const Rows<T>& whole, int64_t block) const {
  return block == 0 ? whole : Rows<T>(partial_[static_cast<size_t>(block - 1)]);
}

template <typename T>
template <typename Function>
void GlobalBackward<T>::ForEachTask(ThreadPool& threads, const ChunkWindow& window,
                                    Function&& function) const {
  const int64_t blocks = sums_.tasks_of_sequence();
  threads.Run(window.batches() * blocks, [&](int64_t task, int) {
    function(window.first_batch + task / blocks, task % blocks * sums_.columns(), task % blocks);
  });
}

template <typename T>
void GlobalBackward<T>::RunQueries(ThreadPool& threads, const ChunkWindow& window) const {
  ForEachTask(threads, window, [&](int64_t batch, int64_t column, int64_t block) {
    const Rows<T> target = Target(gradients_.dlin_q, block);
    for (int64_t chunk = window.first_chunk; chunk < window.end_chunk; ++chunk) {
      QueriesOfChunk(batch, chunk, column, target);
    }
  });
}

template <typename T>
void GlobalBackward<T>::RunKeys(ThreadPool& threads, const ChunkWindow& window) const {
  ForEachTask(threads, window, [&](int64_t batch, int64_t column, int64_t block) {
    const Rows<T> target = Target(gradients_.dlin_k, block);
    for (int64_t chunk = window.end_chunk - 1; chunk >= window.first_chunk; --chunk) {
      KeysOfChunk(batch, chunk, column, target);
    }
  });
}

// What belongs to the gate, and dQl = weight dO sum'.
template <typename T>
void GlobalBackward<T>::QueriesOfChunk(int64_t batch, int64_t chunk, int64_t column,
                                       const Rows<T>& target) const {
  const int64_t width = sums_.WidthOf(column);
  const RowRange range = views_.SegmentsOf(batch).Rows(chunk);
  sums_.Advance(batch, chunk, column);
  if (views_.gate.defined() && !views_.ungated.defined()) {
    sums_.AddTo(gradients_.dgate, batch, chunk, column);
  }
  DifferentiateGate(views_, gradients_, batch, chunk, column, width);
  const double weight = sums_.Weight(batch, chunk);
  if (weight == 0) {
    for (int64_t row = range.first; row < range.end; ++row) {
      std::fill_n(target.At(batch, row), views_.s, T{0});
    }
    return;
  }
  SerialGemm({range.rows(), views_.s, width, false, true}, static_cast<T>(weight),
             gradients_.dungated.At(batch, range.first, column), gradients_.dungated.stride(),
             sums_.Sum(batch, column), width, T{0}, target.At(batch, range.first), target.stride());
  views_.ClearPadding(target, batch, chunk, 0, views_.s);
}

// D, then dKl = V D' and dV += Kl D.
template <typename T>
void GlobalBackward<T>::KeysOfChunk(int64_t batch, int64_t chunk, int64_t column,
                                    const Rows<T>& target) const {
  const int64_t width = sums_.WidthOf(column);
  const T* const sum = sums_.Sum(batch, column);
  const RowRange range = views_.SegmentsOf(batch).Rows(chunk);
  AddGradientOfStates(batch, chunk, column);
  if (PlanOf(batch).steps[static_cast<size_t>(chunk)].empty) {
    for (int64_t row = range.first; row < range.end; ++row) {
      std::fill_n(target.At(batch, row), views_.s, T{0});
    }
    return;
  }
  SerialGemm({range.rows(), views_.s, width, false, true}, T{1},
             views_.v.At(batch, range.first, column), views_.v.stride(), sum, width, T{0},
             target.At(batch, range.first), target.stride());
  SerialGemm({range.rows(), width, views_.s}, T{1}, views_.lin_k.At(batch, range.first),
             views_.lin_k.stride(), sum, width, T{1}, gradients_.dv.At(batch, range.first, column),
             gradients_.dv.stride());
  views_.ClearPadding(target, batch, chunk, 0, views_.s);
  views_.ClearPadding(gradients_.dv, batch, chunk, column, width);
}

// D for `chunk`, from that of the chunk behind it.
template <typename T>
void GlobalBackward<T>::AddGradientOfStates(int64_t batch, int64_t chunk, int64_t column) const {
  const ScanPlan& plan = PlanOf(batch);
  const ScanStep& step = plan.steps[static_cast<size_t>(chunk)];
  const int64_t width = sums_.WidthOf(column);
  bool overwrite = step.reset;
  for (size_t i = step.first_range; i < step.end_range; ++i) {
    const RowRange range = plan.ranges[i];
    const double weight = plan.weights[static_cast<size_t>(range.first / views_.chunk)];
    SerialGemm({views_.s, width, range.rows(), true, false}, static_cast<T>(weight),
               views_.lin_q.At(batch, range.first), views_.lin_q.stride(),
               gradients_.dungated.At(batch, range.first, column), gradients_.dungated.stride(),
               overwrite ? T{0} : T{1}, sums_.Sum(batch, column), width);
    overwrite = false;
  }
}

template <typename T>
void GlobalBackward<T>::AddParts(ThreadPool& threads, const Rows<T>& whole) const {
  if (partial_.empty()) return;
  const int64_t strips = (views_.rows + kSideOfSquare - 1) / kSideOfSquare;
  threads.Run(views_.batches * strips, [&](int64_t task, int) {
    const int64_t batch = task / strips;
    const int64_t first = task % strips * kSideOfSquare;
    const int64_t end = std::min(first + kSideOfSquare, views_.rows);
    for (const Tensor& partial : partial_) {
      for (int64_t row = first; row < end; ++row) {
        const T* const from = Rows<T>(partial).At(batch, row);
        T* const to = whole.At(batch, row);
        for (int64_t j = 0; j < views_.s; ++j) to[j] += from[j];
      }
    }
  });
}

template class GlobalBackward<float>;
template class GlobalBackward<double>;

}  // namespace trainyard::cpu_attention
