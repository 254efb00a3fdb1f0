// Which chunks of mixed chunk attention see which, and in which order their states are summed.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor/kernels/attention_kernels.h"

namespace trainyard::cpu_attention {

// Rows [first, end) of a sequence.
struct RowRange {
  int64_t first = 0;
  int64_t end = 0;
  int64_t rows() const { return end - first; }
};

// What the sum of states becomes before it is used for a chunk. Chunks are visited in order; the
// sum passes from one to the next. Each range that is added lies in one chunk.
struct ScanStep {
  bool reset = false;  // begin from 0 again
  // Nothing is in the sum: it is not to be used.
  bool empty = true;
  // [first_range, end_range) of ScanPlan::ranges are added. With `reset` the first overwrites.
  size_t first_range = 0;
  size_t end_range = 0;
};

struct ScanPlan {
  std::vector<ScanStep> steps;  // one a chunk
  std::vector<RowRange> ranges;
  // Of each chunk: M = weight * sum of Kl' V over the rows it sees; 0 where it sees none.
  std::vector<double> weights;
};

// The chunks of one sequence, by its segments.
//
// A chunk sees another if the ranges of the segments of their real rows overlap, and, if causal,
// only chunks before. Where segments do not decrease along the sequence, as in packed documents,
// what a chunk sees is what the last one saw and the last one itself, or the last one alone, or
// nothing: each state is summed at most twice. In other orders sums begin anew as often as needed.
// Plans with segments take time of the square of the number of chunks.
class ChunkSegments {
 public:
  // `segments` of n rows; null: all are real and of one segment.
  ChunkSegments(const int32_t* segments, int64_t rows, int64_t chunk);

  int64_t chunks() const { return static_cast<int64_t>(infos_.size()); }
  RowRange Rows(int64_t chunk) const;
  // All rows of the chunk are real and of one segment: nothing is masked within it.
  bool uniform(int64_t chunk) const { return infos_[static_cast<size_t>(chunk)].uniform; }
  bool has_padding(int64_t chunk) const {
    return infos_[static_cast<size_t>(chunk)].real_rows < Rows(chunk).rows();
  }
  // Null or those of the sequence.
  const int32_t* segments() const { return segments_; }

  // Sums for what each chunk sees.
  ScanPlan ForwardPlan(const MixedChunkArguments& arguments) const;
  // Sums over the chunks by which each chunk is seen, for a pass from the last chunk to the first;
  // steps[g] belongs to chunk g, weights are those of the forward plan.
  ScanPlan BackwardPlan(const MixedChunkArguments& arguments) const;

 private:
  struct Info {
    int32_t low = 0;
    int32_t high = -1;  // < low: no real row
    int64_t real_rows = 0;
    bool uniform = true;
  };

  bool Sees(int64_t chunk, int64_t other, bool causal) const;
  void AddRealRows(int64_t chunk, std::vector<RowRange>& ranges) const;
  std::vector<double> Weights(const MixedChunkArguments& arguments) const;
  ScanPlan Plan(const MixedChunkArguments& arguments, bool backward) const;
  ScanPlan PlainPlan(const MixedChunkArguments& arguments, bool backward) const;
  ScanPlan SegmentPlan(const MixedChunkArguments& arguments, bool backward) const;

  const int32_t* segments_;
  int64_t rows_;
  int64_t chunk_;
  std::vector<Info> infos_;
};

}  // namespace trainyard::cpu_attention
