#include <algorithm>

#include "core/tensor/cpu/mixed_chunk_parts.h"

namespace trainyard::cpu_attention {

int64_t ColumnsOfTask(int64_t batches, int64_t e, int threads) {
  constexpr int64_t kTasksWanted = 8;
  constexpr int64_t kStep = 64;
  const int64_t wanted = (std::max<int64_t>(kTasksWanted, threads) + batches - 1) / batches;
  const int64_t most = std::max<int64_t>(2, (threads + batches - 1) / batches);
  const int64_t blocks = std::clamp<int64_t>(std::min(wanted, most), 1, (e + kStep - 1) / kStep);
  return ((e + blocks - 1) / blocks + kStep - 1) / kStep * kStep;
}

template <typename T>
StateSums<T>::StateSums(const MixedChunkViews<T>& views, int64_t columns)
    : views_(views),
      columns_(columns),
      plans_(PlansOf(views, false)),
      sums_(Tensor::Empty(views.arguments.v.device(), {views.batches, views.s * views.e},
                          DTypeOf<T>())) {}

template <typename T>
double StateSums<T>::Weight(int64_t batch, int64_t chunk) const {
  return PlanOf(batch).weights[static_cast<size_t>(chunk)];
}

template <typename T>
void StateSums<T>::Advance(int64_t batch, int64_t chunk, int64_t column) const {
  const ScanPlan& plan = PlanOf(batch);
  const ScanStep& step = plan.steps[static_cast<size_t>(chunk)];
  const int64_t width = WidthOf(column);
  bool overwrite = step.reset;
  for (size_t i = step.first_range; i < step.end_range; ++i) {
    const RowRange range = plan.ranges[i];
    SerialGemm({views_.s, width, range.rows(), true, false}, T{1},
               views_.lin_k.At(batch, range.first), views_.lin_k.stride(),
               views_.v.At(batch, range.first, column), views_.v.stride(), overwrite ? T{0} : T{1},
               Sum(batch, column), width);
    overwrite = false;
  }
}

template <typename T>
void StateSums<T>::AddTo(const Rows<T>& target, int64_t batch, int64_t chunk,
                         int64_t column) const {
  const double weight = Weight(batch, chunk);
  if (weight == 0) return;
  const RowRange range = views_.SegmentsOf(batch).Rows(chunk);
  const int64_t width = WidthOf(column);
  SerialGemm({range.rows(), width, views_.s}, static_cast<T>(weight),
             views_.lin_q.At(batch, range.first), views_.lin_q.stride(), Sum(batch, column), width,
             T{1}, target.At(batch, range.first, column), target.stride());
}

template class StateSums<float>;
template class StateSums<double>;

}  // namespace trainyard::cpu_attention
