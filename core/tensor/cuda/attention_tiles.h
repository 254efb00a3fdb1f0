// Products of tiles in shared memory and registers, for the kernels of attention (*.cu).
#pragma once

#include <cstdint>

#include "core/tensor/cuda/attention.h"
#include "core/tensor/cuda/launch.h"
#include "core/tensor/cuda/scalar_functions.h"

namespace trainyard::cuda {

// A block of 16 x 16 threads has a square of kTile x kTile scores. Thread (ty, tx) has its elements
// (ty + 16 i, tx + 16 j), so that reads of shared memory by a warp go to different banks.
inline constexpr int kSide = 16;
inline constexpr int kTileThreads = kSide * kSide;
inline constexpr int kDepth = 32;  // of factors that are in shared memory at a time
// Columns of a result that a block has in registers; wider results take several blocks.
inline constexpr int kBlockColumns = 64;

template <typename T>
struct TileSizes {
  static constexpr int kTile = sizeof(T) == 4 ? 64 : 32;
  static constexpr int kMicro = kTile / kSide;
  static constexpr int kColumnChunks = kBlockColumns / kTile;
  static constexpr int kDepthStride = kDepth + 1;
  static constexpr int kTileStride = kTile + 1;
  static constexpr int kFactors =
      2 * kTile * kDepthStride > kTile* kTileStride ? 2 * kTile* kDepthStride : kTile* kTileStride;
  static constexpr int kWeights = kTile * kTileStride;
  // Of one TileThreads.
  static constexpr size_t kSharedBytes = (kFactors + kWeights) * sizeof(T) + 16;
};

// Rows `first`, … of one head; rows from `count` on count as zeros.
template <typename T>
struct TileRows {
  const T* data;
  int64_t stride;
  int64_t first;
  int64_t count;
};

template <typename T>
TRAINYARD_DEVICE T* HeadOf(const HeadRows& rows, int64_t batch, int64_t head) {
  return static_cast<T*>(rows.data) + batch * rows.batch_stride + head * rows.head_stride;
}

template <typename T, typename Context>
class TileThreads {
 public:
  using Sizes = TileSizes<T>;
  static constexpr int kTile = Sizes::kTile;
  static constexpr int kMicro = Sizes::kMicro;
  static constexpr int kColumns = Sizes::kColumnChunks * kMicro;

  TRAINYARD_DEVICE explicit TileThreads(Context& context)
      : context_(context),
        factors_(context.template Shared<T>(Sizes::kFactors)),
        weights_(context.template Shared<T>(Sizes::kWeights)),
        ty_(context.thread() / kSide),
        tx_(context.thread() % kSide) {}

  TRAINYARD_DEVICE int Row(int i) const { return ty_ + kSide * i; }
  TRAINYARD_DEVICE int Column(int j) const { return tx_ + kSide * j; }

  // product[i][j] = sum over d of a[Row(i), d] * b[Column(j), d].
  TRAINYARD_DEVICE void Multiply(const TileRows<T>& a, const TileRows<T>& b, int64_t depth,
                                 T (&product)[kMicro][kMicro]) {
    TRAINYARD_UNROLL
    for (int i = 0; i < kMicro; ++i) {
      TRAINYARD_UNROLL
      for (int j = 0; j < kMicro; ++j) product[i][j] = T(0);
    }
    for (int64_t start = 0; start < depth; start += kDepth) {
      context_.Sync();
      Load(a, start, depth, 0);
      Load(b, start, depth, kTile * Sizes::kDepthStride);
      context_.Sync();
      for (int d = 0; d < kDepth; ++d) AddOuterProduct(d, product);
    }
  }

  // Hands the threads' scores to the block.
  TRAINYARD_DEVICE void Share(const T (&scores)[kMicro][kMicro]) {
    context_.Sync();
    TRAINYARD_UNROLL
    for (int i = 0; i < kMicro; ++i) {
      TRAINYARD_UNROLL
      for (int j = 0; j < kMicro; ++j) {
        weights_[Row(i) * Sizes::kTileStride + Column(j)] = scores[i][j];
      }
    }
  }

  // sum[i][c] += sum over n of shared[Row(i), n] * b[n, first_column + Column(c)].
  TRAINYARD_DEVICE void AddShared(const TileRows<T>& b, int64_t first_column, int64_t columns,
                                  T (&sum)[kMicro][kColumns]) {
    TRAINYARD_UNROLL
    for (int chunk = 0; chunk < Sizes::kColumnChunks; ++chunk) {
      const int64_t start = first_column + chunk * kTile;
      if (start < columns) AddSharedChunk(b, start, columns, chunk, sum);
    }
  }

  // function(row of the tile, column, value) for the thread's part of a result.
  template <typename Function>
  TRAINYARD_DEVICE void ForEach(const T (&sum)[kMicro][kColumns], Function function) const {
    TRAINYARD_UNROLL
    for (int i = 0; i < kMicro; ++i) {
      TRAINYARD_UNROLL
      for (int c = 0; c < kColumns; ++c) function(i, Column(c), sum[i][c]);
    }
  }

  // Over the threads of one row: all of them get the result.
  template <typename Function>
  TRAINYARD_DEVICE T ReduceRow(T value, Function function) {
    for (int lanes = kSide / 2; lanes > 0; lanes /= 2) {
      value = function(value, context_.ShuffleXor(value, lanes));
    }
    return value;
  }

 private:
  TRAINYARD_DEVICE void Load(const TileRows<T>& from, int64_t start, int64_t depth, int at) {
    for (int i = context_.thread(); i < kTile * kDepth; i += kTileThreads) {
      const int row = i / kDepth;
      const int d = i % kDepth;
      const bool inside = from.first + row < from.count && start + d < depth;
      factors_[at + row * Sizes::kDepthStride + d] =
          inside ? from.data[(from.first + row) * from.stride + start + d] : T(0);
    }
  }

  TRAINYARD_DEVICE void AddOuterProduct(int d, T (&product)[kMicro][kMicro]) const {
    T a[kMicro];
    T b[kMicro];
    TRAINYARD_UNROLL
    for (int i = 0; i < kMicro; ++i) {
      a[i] = factors_[Row(i) * Sizes::kDepthStride + d];
      b[i] = factors_[(kTile + Column(i)) * Sizes::kDepthStride + d];
    }
    TRAINYARD_UNROLL
    for (int i = 0; i < kMicro; ++i) {
      TRAINYARD_UNROLL
      for (int j = 0; j < kMicro; ++j) product[i][j] += a[i] * b[j];
    }
  }

  TRAINYARD_DEVICE void AddSharedChunk(const TileRows<T>& b, int64_t start, int64_t columns,
                                       int chunk, T (&sum)[kMicro][kColumns]) {
    context_.Sync();
    for (int i = context_.thread(); i < kTile * kTile; i += kTileThreads) {
      const int row = i / kTile;
      const int column = i % kTile;
      const bool inside = b.first + row < b.count && start + column < columns;
      factors_[row * Sizes::kTileStride + column] =
          inside ? b.data[(b.first + row) * b.stride + start + column] : T(0);
    }
    context_.Sync();
    for (int n = 0; n < kTile; ++n) {
      T values[kMicro];
      TRAINYARD_UNROLL
      for (int j = 0; j < kMicro; ++j) values[j] = factors_[n * Sizes::kTileStride + Column(j)];
      TRAINYARD_UNROLL
      for (int i = 0; i < kMicro; ++i) {
        const T weight = weights_[Row(i) * Sizes::kTileStride + n];
        TRAINYARD_UNROLL
        for (int j = 0; j < kMicro; ++j) sum[i][chunk * kMicro + j] += weight * values[j];
      }
    }
  }

  Context& context_;
  decltype(context_.template Shared<T>(0)) factors_;
  decltype(context_.template Shared<T>(0)) weights_;
  const int ty_;
  const int tx_;
};

// Which keys a query sees.
struct Visibility {
  const AttentionKernelArguments& arguments;
  int64_t batch;

  TRAINYARD_DEVICE bool operator()(int64_t row, int64_t key) const {
    const AttentionKernelArguments& a = arguments;
    if (row >= a.rows || key >= a.keys) return false;
    if (a.causal && key > row + a.keys - a.rows) return false;
    if (a.key_mask != nullptr &&
        a.key_mask[batch * a.key_mask_strides[0] + key * a.key_mask_strides[1]] == 0) {
      return false;
    }
    return a.query_segments == nullptr ||
           a.query_segments[batch * a.query_segment_strides[0] +
                            row * a.query_segment_strides[1]] ==
               a.key_segments[batch * a.key_segment_strides[0] + key * a.key_segment_strides[1]];
  }

  // Keys that no query before `row_end` sees begin here; queries that see `key` or later ones
  // begin at FirstRow(key), as far as causality goes.
  TRAINYARD_DEVICE int64_t KeysEnd(int64_t row_end) const {
    if (!arguments.causal) return arguments.keys;
    const int64_t rows = Min(row_end, arguments.rows);
    return Max(Min(rows + arguments.keys - arguments.rows, arguments.keys), int64_t{0});
  }
  TRAINYARD_DEVICE int64_t FirstRow(int64_t key) const {
    if (!arguments.causal) return 0;
    return Max(Min(key - arguments.keys + arguments.rows, arguments.rows), int64_t{0});
  }
};

}  // namespace trainyard::cuda
