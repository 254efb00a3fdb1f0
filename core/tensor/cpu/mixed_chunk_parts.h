// The parts of mixed chunk attention: within chunks, and between them.
//
// Each owns its scratch, so that its tasks allocate nothing. Tasks of one part run in any order and
// on any thread; their results depend on neither.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/tensor/cpu/mixed_chunk_scores.h"
#include "core/tensor/cpu/mixed_chunk_views.h"

namespace trainyard::cpu_attention {

// target = A V.
template <typename T>
class LocalForward {
 public:
  LocalForward(const MixedChunkViews<T>& views, const Rows<T>& target, int threads);
  void Run(ThreadPool& threads, const ChunkWindow& window) const;

 private:
  // Rows [row, end) of a chunk of `chunk_rows`, at most a square's.
  void RunRows(int64_t batch, int64_t chunk, RowRange rows, int64_t chunk_rows, T* scores) const;
  // Adds a tile's part; the first keys overwrite.
  void RunTile(const ChunkTile& tile, T* scores) const;

  const MixedChunkViews<T>& views_;
  const Rows<T> target_;
  const ChunkScores<T> scores_;
  const Tensor scratch_;
};

// Columns of values that one task carries through the chunks: a sequence has several tasks where
// there are few sequences, though no more than it takes, for a narrow block is slower. Depends on
// the number of threads only where there are more than two for a sequence, or more than 8.
int64_t ColumnsOfTask(int64_t batches, int64_t e, int threads);

// Sums Kl' V over the chunks that a chunk sees, for columns of values.
template <typename T>
class StateSums {
 public:
  StateSums(const MixedChunkViews<T>& views, int64_t columns);

  int64_t columns() const { return columns_; }
  int64_t tasks_of_sequence() const { return (views_.e + columns_ - 1) / columns_; }
  int64_t WidthOf(int64_t column) const { return std::min(columns_, views_.e - column); }
  // The factor of the sum for this chunk; 0: it sees nothing.
  double Weight(int64_t batch, int64_t chunk) const;
  // Moves on to `chunk`; chunks are visited in order.
  void Advance(int64_t batch, int64_t chunk, int64_t column) const;
  // s x WidthOf(column), rows without gaps.
  T* Sum(int64_t batch, int64_t column) const {
    return sums_.template data<T>() + batch * views_.s * views_.e + views_.s * column;
  }
  // target += weight Ql sum, for rows of a chunk.
  void AddTo(const Rows<T>& target, int64_t batch, int64_t chunk, int64_t column) const;

 private:
  const ScanPlan& PlanOf(int64_t batch) const {
    return plans_[plans_.size() == 1 ? 0 : static_cast<size_t>(batch)];
  }

  const MixedChunkViews<T>& views_;
  const int64_t columns_;
  std::vector<ScanPlan> plans_;  // of each sequence, or one for all
  const Tensor sums_;            // [batch, s * e]
};

// The plans of all sequences; one where they have no segments.
template <typename T>
std::vector<ScanPlan> PlansOf(const MixedChunkViews<T>& views, bool backward) {
  std::vector<ScanPlan> plans;
  for (const ChunkSegments& sequence : views.segments) {
    plans.push_back(backward ? sequence.BackwardPlan(views.arguments)
                             : sequence.ForwardPlan(views.arguments));
    if (!views.segment_values.defined()) break;
  }
  return plans;
}

}  // namespace trainyard::cpu_attention
