#include <algorithm>

#include "core/tensor/cpu/mixed_chunk_backward_parts.h"

namespace trainyard::cpu_attention {

template <typename T>
GlobalBackward<T>::GlobalBackward(const MixedChunkViews<T>& views,
                                  const MixedChunkGradientViews<T>& gradients, int threads)
    : views_(views),
      gradients_(gradients),
      sums_(views, ColumnsOfTask(views.batches, views.e, threads)),
      plans_(PlansOf(views, true)),
      scratch_(
          Tensor::Empty(views.arguments.v.device(), {threads, ScratchOfThread()}, DTypeOf<T>())) {
  for (int64_t task = 1; task < sums_.tasks_of_sequence(); ++task) {
    partial_.push_back(Tensor::Empty(views.arguments.v.device(),
                                     {views.batches, views.rows, views.s}, DTypeOf<T>()));
  }
}

template <typename T>
Rows<T> GlobalBackward<T>::Target(const Rows<T>& whole, int64_t task_of_sequence) const {
  if (task_of_sequence == 0) return whole;
  return Rows<T>(partial_[static_cast<size_t>(task_of_sequence - 1)]);
}

template <typename T>
void GlobalBackward<T>::Run(ThreadPool& threads) const {
  const int64_t tasks = sums_.tasks_of_sequence();
  const auto scratch_of = [&](int thread) {
    return scratch_.template data<T>() + thread * ScratchOfThread();
  };
  threads.Run(views_.batches * tasks, [&](int64_t task, int thread) {
    RunQueries(task / tasks, task % tasks * sums_.columns(),
               Target(gradients_.dlin_q, task % tasks), scratch_of(thread));
  });
  AddParts(threads, gradients_.dlin_q);
  threads.Run(views_.batches * tasks, [&](int64_t task, int thread) {
    RunKeys(task / tasks, task % tasks * sums_.columns(), Target(gradients_.dlin_k, task % tasks),
            scratch_of(thread));
  });
  AddParts(threads, gradients_.dlin_k);
}

// From the first chunk to the last: dQl = weight dO sum'.
template <typename T>
void GlobalBackward<T>::RunQueries(int64_t batch, int64_t column, const Rows<T>& target,
                                   T* scratch) const {
  const int64_t width = sums_.WidthOf(column);
  for (int64_t chunk = 0; chunk < views_.chunks(); ++chunk) {
    const RowRange range = views_.SegmentsOf(batch).Rows(chunk);
    sums_.Advance(batch, chunk, column);
    const double weight = sums_.Weight(batch, chunk);
    for (int64_t row = range.first; row < range.end; row += kSideOfSquare) {
      const RowRange strip{row, std::min(row + kSideOfSquare, range.end)};
      if (weight == 0) {
        for (int64_t i = strip.first; i < strip.end; ++i) {
          std::fill_n(target.At(batch, i), views_.s, T{0});
        }
        continue;
      }
      const OutputGradient<T> dout =
          UngatedGradient(views_, gradients_, batch, strip, column, width, scratch);
      SerialGemm({strip.rows(), views_.s, width, false, true}, static_cast<T>(weight), dout.data,
                 dout.stride, sums_.Sum(batch, column), width, T{0}, target.At(batch, row),
                 target.stride());
    }
    views_.ClearPadding(target, batch, chunk, 0, views_.s);
    if (!views_.gate.defined()) continue;
    if (!views_.ungated.defined()) sums_.AddTo(gradients_.dgate, batch, chunk, column);
    GateGradient(views_, gradients_, batch, chunk, column, width);
  }
}

// From the last chunk to the first: D, then dKl = V D' and dV += Kl D.
template <typename T>
void GlobalBackward<T>::RunKeys(int64_t batch, int64_t column, const Rows<T>& target,
                                T* scratch) const {
  const int64_t width = sums_.WidthOf(column);
  const ScanPlan& plan = plans_[plans_.size() == 1 ? 0 : static_cast<size_t>(batch)];
  const T* const sum = sums_.Sum(batch, column);
  for (int64_t chunk = views_.chunks() - 1; chunk >= 0; --chunk) {
    const RowRange range = views_.SegmentsOf(batch).Rows(chunk);
    AddGradientOfStates(batch, chunk, column, scratch);
    if (plan.steps[static_cast<size_t>(chunk)].empty) {
      for (int64_t row = range.first; row < range.end; ++row) {
        std::fill_n(target.At(batch, row), views_.s, T{0});
      }
      continue;
    }
    SerialGemm({range.rows(), views_.s, width, false, true}, T{1},
               views_.v.At(batch, range.first, column), views_.v.stride(), sum, width, T{0},
               target.At(batch, range.first), target.stride());
    SerialGemm({range.rows(), width, views_.s}, T{1}, views_.lin_k.At(batch, range.first),
               views_.lin_k.stride(), sum, width, T{1},
               gradients_.dv.At(batch, range.first, column), gradients_.dv.stride());
    views_.ClearPadding(target, batch, chunk, 0, views_.s);
    views_.ClearPadding(gradients_.dv, batch, chunk, column, width);
  }
}

// D for `chunk`, from that of the chunk behind it.
template <typename T>
void GlobalBackward<T>::AddGradientOfStates(int64_t batch, int64_t chunk, int64_t column,
                                            T* scratch) const {
  const ScanPlan& plan = plans_[plans_.size() == 1 ? 0 : static_cast<size_t>(batch)];
  const ScanStep& step = plan.steps[static_cast<size_t>(chunk)];
  const int64_t width = sums_.WidthOf(column);
  bool overwrite = step.reset;
  for (size_t i = step.first_range; i < step.end_range; ++i) {
    const RowRange range = plan.ranges[i];
    const double weight = plan.weights[static_cast<size_t>(range.first / views_.chunk)];
    for (int64_t row = range.first; row < range.end; row += kSideOfSquare) {
      const RowRange strip{row, std::min(row + kSideOfSquare, range.end)};
      const OutputGradient<T> dout =
          UngatedGradient(views_, gradients_, batch, strip, column, width, scratch);
      SerialGemm({views_.s, width, strip.rows(), true, false}, static_cast<T>(weight),
                 views_.lin_q.At(batch, row), views_.lin_q.stride(), dout.data, dout.stride,
                 overwrite ? T{0} : T{1}, sums_.Sum(batch, column), width);
      overwrite = false;
    }
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
