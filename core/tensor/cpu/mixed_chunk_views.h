// What the parts of mixed chunk attention share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/tensor/cpu/mixed_chunk_plan.h"
#include "core/tensor/kernels/attention_kernels.h"
#include "core/tensor/tensor.h"

namespace trainyard::cpu_attention {

// A tensor [batch, n, width] whose last stride is 1, or no tensor.
template <typename T>
class Rows {
 public:
  Rows() = default;
  explicit Rows(const Tensor& tensor) {
    if (!tensor.defined()) return;
    data_ = tensor.data<T>();
    batch_stride_ = tensor.stride(0);
    row_stride_ = tensor.stride(1);
  }

  // Rows of one sequence without gaps.
  Rows(T* data, int64_t width) : data_(data), row_stride_(width) {}

  bool defined() const { return data_ != nullptr; }
  T* At(int64_t batch, int64_t row, int64_t column = 0) const {
    return data_ + batch * batch_stride_ + row * row_stride_ + column;
  }
  int64_t stride() const { return row_stride_; }

 private:
  T* data_ = nullptr;
  int64_t batch_stride_ = 0;
  int64_t row_stride_ = 0;
};

// Chunks [first_chunk, end_chunk) of sequences [first_batch, end_batch): what is worked on at a
// time, so that what one part leaves is still in a cache when the next one takes it.
struct ChunkWindow {
  int64_t first_batch = 0;
  int64_t end_batch = 0;
  int64_t first_chunk = 0;
  int64_t end_chunk = 0;

  int64_t batches() const { return end_batch - first_batch; }
  int64_t chunks() const { return end_chunk - first_chunk; }
};

// The arguments as pointers, and the segments of each sequence.
template <typename T>
struct MixedChunkViews {
  explicit MixedChunkViews(const MixedChunkArguments& a);

  // Rows of padding become 0 in columns [column, column + width).
  void ClearPadding(const Rows<T>& rows, int64_t batch, int64_t chunk, int64_t column,
                    int64_t width) const;

  // All there is, in windows of a few chunks for each of `threads`. Those of a sequence come in
  // order.
  std::vector<ChunkWindow> Windows(int threads) const;
  ChunkWindow Everything() const { return {0, batches, 0, chunks()}; }

  const MixedChunkArguments& arguments;
  const int64_t batches;
  const int64_t rows;
  const int64_t s;
  const int64_t e;
  const int64_t chunk;
  const Rows<T> quad_q;
  const Rows<T> quad_k;
  const Rows<T> lin_q;
  const Rows<T> lin_k;
  const Rows<T> v;
  const Rows<T> gate;
  const Rows<T> out;
  const Rows<T> ungated;
  const T* const bias;
  const Tensor segment_values;          // contiguous, or undefined
  std::vector<ChunkSegments> segments;  // of each sequence
  int64_t chunks() const { return (rows + chunk - 1) / chunk; }
  const ChunkSegments& SegmentsOf(int64_t batch) const {
    return segments[static_cast<size_t>(batch)];
  }
};

template <typename T>
MixedChunkViews<T>::MixedChunkViews(const MixedChunkArguments& a)
    : arguments(a),
      batches(a.v.size(0)),
      rows(a.v.size(1)),
      s(a.quad_q.size(2)),
      e(a.v.size(2)),
      chunk(std::min(a.chunk, std::max<int64_t>(a.v.size(1), 1))),
      quad_q(a.quad_q),
      quad_k(a.quad_k),
      lin_q(a.lin_q),
      lin_k(a.lin_k),
      v(a.v),
      gate(a.gate),
      out(a.out),
      ungated(a.ungated),
      bias(a.bias.defined() ? a.bias.data<T>() : nullptr),
      segment_values(a.segments.defined() ? a.segments.Contiguous() : Tensor()) {
  for (int64_t batch = 0; batch < batches; ++batch) {
    const int32_t* values =
        segment_values.defined() ? segment_values.data<int32_t>() + batch * rows : nullptr;
    segments.emplace_back(values, rows, chunk);
  }
}

template <typename T>
std::vector<ChunkWindow> MixedChunkViews<T>::Windows(int threads) const {
  constexpr int64_t kChunksOfThread = 2;
  const int64_t size = kChunksOfThread * std::max(threads, 2);
  const int64_t batch_step = std::min(batches, size);
  const int64_t chunk_step = std::max<int64_t>(size / batch_step, 1);
  std::vector<ChunkWindow> windows;
  for (int64_t batch = 0; batch < batches; batch += batch_step) {
    for (int64_t g = 0; g < chunks(); g += chunk_step) {
      windows.push_back(
          {batch, std::min(batch + batch_step, batches), g, std::min(g + chunk_step, chunks())});
    }
  }
  return windows;
}

template <typename T>
void MixedChunkViews<T>::ClearPadding(const Rows<T>& tensor, int64_t batch, int64_t g,
                                      int64_t column, int64_t width) const {
  const ChunkSegments& sequence = SegmentsOf(batch);
  if (!sequence.has_padding(g)) return;
  const RowRange range = sequence.Rows(g);
  for (int64_t row = range.first; row < range.end; ++row) {
    if (sequence.segments()[row] < 0) std::fill_n(tensor.At(batch, row, column), width, T{0});
  }
}

}  // namespace trainyard::cpu_attention
