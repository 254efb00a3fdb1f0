// Softmax attention by blocks of queries that pass over blocks of keys with a running maximum and
// sum for each row (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018; Dao
// et al., "FlashAttention", 2022). In the backward pass weights are computed again from the kept
// logsumexp:
//   P = exp(S - lse),  dV = P' dO,  dP = dO V',  dS = scale * P * (dP - rowsum(dO * O)),
//   dQ = dS K,  dK = dS' Q
// once for blocks of queries (dQ) and once for blocks of keys (dK, dV): no sum depends on an order.
#include "core/tensor/cuda/attention.h"
#include "core/tensor/cuda/attention_tiles.h"
#include "core/tensor/cuda/launch.h"
#include "core/tensor/cuda/row_threads.h"
#include "core/tensor/cuda/scalar_functions.h"

namespace trainyard::cuda {
namespace {

// Blocks: x a tile of rows of a head of a sequence, y 64 columns of the result.
struct BlockOfHead {
  int64_t batch;
  int64_t head;
  int64_t first_row;
  int64_t first_column;

  template <typename Context>
  TRAINYARD_DEVICE BlockOfHead(Context& context, int64_t heads, int64_t rows, int tile)
      : batch(context.block() / CeilDivide(rows, tile) / heads),
        head(context.block() / CeilDivide(rows, tile) % heads),
        first_row(context.block() % CeilDivide(rows, tile) * tile),
        first_column(context.block_y() * kBlockColumns) {}
};

template <typename T>
TRAINYARD_DEVICE TileRows<T> RowsOf(const HeadRows& rows, const BlockOfHead& block, int64_t first,
                                    int64_t count) {
  return {HeadOf<const T>(rows, block.batch, block.head), rows.row_stride, first, count};
}

template <typename T>
struct AttentionKernel {
  static constexpr const char* kName = "attention";
  static constexpr int kThreads = kTileThreads;
  static constexpr bool kSynchronizes = true;
  static constexpr int kTile = TileSizes<T>::kTile;
  static constexpr int kMicro = TileSizes<T>::kMicro;
  static constexpr int kColumns = kBlockColumns / kSide;
  AttentionKernelArguments arguments;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const AttentionKernelArguments& a = arguments;
    const BlockOfHead block(context, a.heads, a.rows, kTile);
    const Visibility visible{a, block.batch};
    TileThreads<T, Context> threads(context);
    T maxima[kMicro];
    T sums[kMicro];
    T out[kMicro][kColumns] = {};
    TRAINYARD_UNROLL
    for (int i = 0; i < kMicro; ++i) {
      maxima[i] = static_cast<T>(-__builtin_huge_val());
      sums[i] = T(0);
    }
    const int64_t keys_end = visible.KeysEnd(block.first_row + kTile);
    for (int64_t key = 0; key < keys_end; key += kTile) {
      T scores[kMicro][kMicro];
      threads.Multiply(RowsOf<T>(a.q, block, block.first_row, a.rows),
                       RowsOf<T>(a.k, block, key, a.keys), a.width, scores);
      Weigh(threads, visible, block.first_row, key, scores, maxima, sums, out);
      threads.Share(scores);
      threads.AddShared(RowsOf<T>(a.v, block, key, a.keys), block.first_column, a.v_width, out);
    }
    Store(threads, block, maxima, sums, out);
  }

 private:
  // Scores become weights relative to their row's new maximum.
  template <typename Threads>
  TRAINYARD_DEVICE void Weigh(Threads& threads, const Visibility& visible, int64_t first_row,
                              int64_t key, T (&scores)[kMicro][kMicro], T (&maxima)[kMicro],
                              T (&sums)[kMicro], T (&out)[kMicro][kColumns]) const {
    const T hidden = static_cast<T>(-__builtin_huge_val());
    const T scale = static_cast<T>(arguments.scale);
    TRAINYARD_UNROLL
    for (int i = 0; i < kMicro; ++i) {
      T largest = maxima[i];
      TRAINYARD_UNROLL
      for (int j = 0; j < kMicro; ++j) {
        const bool seen = visible(first_row + threads.Row(i), key + threads.Column(j));
        scores[i][j] = seen ? scores[i][j] * scale : hidden;
        largest = Max(largest, scores[i][j]);
      }
      largest = threads.ReduceRow(largest, Larger{});
      // Rows that have seen nothing yet.
      const T shift = largest == hidden ? T(0) : largest;
      const T factor = Exp(maxima[i] - shift);
      T sum = T(0);
      TRAINYARD_UNROLL
      for (int j = 0; j < kMicro; ++j) {
        scores[i][j] = Exp(scores[i][j] - shift);
        sum += scores[i][j];
      }
      sums[i] = sums[i] * factor + threads.ReduceRow(sum, Plus{});
      maxima[i] = largest;
      TRAINYARD_UNROLL
      for (int c = 0; c < kColumns; ++c) out[i][c] *= factor;
    }
  }

  template <typename Threads>
  TRAINYARD_DEVICE void Store(const Threads& threads, const BlockOfHead& block,
                              const T (&maxima)[kMicro], const T (&sums)[kMicro],
                              const T (&out)[kMicro][kColumns]) const {
    const AttentionKernelArguments& a = arguments;
    T* const to = HeadOf<T>(a.out, block.batch, block.head);
    threads.ForEach(out, [&](int i, int column, T value) {
      const int64_t row = block.first_row + threads.Row(i);
      if (row >= a.rows || block.first_column + column >= a.v_width) return;
      to[row * a.out.row_stride + block.first_column + column] =
          sums[i] > T(0) ? value / sums[i] : T(0);
    });
    if (a.logsumexp == nullptr || block.first_column > 0 || threads.Column(0) > 0) return;
    TRAINYARD_UNROLL
    for (int i = 0; i < kMicro; ++i) {
      const int64_t row = block.first_row + threads.Row(i);
      if (row >= a.rows) continue;
      static_cast<T*>(a.logsumexp)[(block.batch * a.heads + block.head) * a.rows + row] =
          maxima[i] + Log(sums[i]);
    }
  }
};

// products[b, h, i] = sum over c of dout * out.
template <typename T>
struct OutProductsKernel {
  static constexpr const char* kName = "attention_out_products";
  static constexpr int kThreads = 256;
  static constexpr bool kSynchronizes = true;
  AttentionKernelArguments forward;
  HeadRows dout;
  T* products;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const int64_t index = context.block() * (kThreads / kWarp) + context.thread() / kWarp;
    if (index >= forward.batch * forward.heads * forward.rows) return;
    const int64_t row = index % forward.rows;
    const int64_t head = index / forward.rows % forward.heads;
    const int64_t batch = index / (forward.rows * forward.heads);
    const T* const a = HeadOf<const T>(dout, batch, head) + row * dout.row_stride;
    const T* const b = HeadOf<const T>(forward.out, batch, head) + row * forward.out.row_stride;
    T sum = T(0);
    for (int64_t i = context.thread() % kWarp; i < forward.v_width; i += kWarp) sum += a[i] * b[i];
    sum = context.WarpReduce(sum, Plus{});
    if (context.thread() % kWarp == 0) products[index] = sum;
  }
};

// What both backward kernels compute of a tile.
template <typename T>
struct BackwardTile {
  const AttentionKernelArguments& forward;
  const AttentionBackwardArguments& backward;
  const BlockOfHead& block;

  TRAINYARD_DEVICE int64_t Index(int64_t row) const {
    return (block.batch * forward.heads + block.head) * forward.rows + row;
  }
  // The weight of a score; 0 where it is not seen.
  TRAINYARD_DEVICE T Weight(const Visibility& visible, int64_t row, int64_t key, T score) const {
    if (!visible(row, key)) return T(0);
    return Exp(score * static_cast<T>(forward.scale) -
               static_cast<const T*>(forward.logsumexp)[Index(row)]);
  }
  // dS of weight and dP.
  TRAINYARD_DEVICE T ScoreGradient(int64_t row, T weight, T gradient) const {
    if (row >= forward.rows) return T(0);
    const T product = static_cast<const T*>(backward.out_products)[Index(row)];
    return static_cast<T>(forward.scale) * weight * (gradient - product);
  }
};

template <typename T>
struct QueryGradientKernel {
  static constexpr const char* kName = "attention_query_gradient";
  static constexpr int kThreads = kTileThreads;
  static constexpr bool kSynchronizes = true;
  static constexpr int kTile = TileSizes<T>::kTile;
  static constexpr int kMicro = TileSizes<T>::kMicro;
  AttentionKernelArguments forward;
  AttentionBackwardArguments backward;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const AttentionKernelArguments& a = forward;
    const BlockOfHead block(context, a.heads, a.rows, kTile);
    const Visibility visible{a, block.batch};
    const BackwardTile<T> tile{forward, backward, block};
    TileThreads<T, Context> threads(context);
    T dq[kMicro][kBlockColumns / kSide] = {};
    const int64_t keys_end = visible.KeysEnd(block.first_row + kTile);
    for (int64_t key = 0; key < keys_end; key += kTile) {
      T scores[kMicro][kMicro];
      T gradients[kMicro][kMicro];
      threads.Multiply(RowsOf<T>(a.q, block, block.first_row, a.rows),
                       RowsOf<T>(a.k, block, key, a.keys), a.width, scores);
      threads.Multiply(RowsOf<T>(backward.dout, block, block.first_row, a.rows),
                       RowsOf<T>(a.v, block, key, a.keys), a.v_width, gradients);
      TRAINYARD_UNROLL
      for (int i = 0; i < kMicro; ++i) {
        const int64_t row = block.first_row + threads.Row(i);
        TRAINYARD_UNROLL
        for (int j = 0; j < kMicro; ++j) {
          const T weight = tile.Weight(visible, row, key + threads.Column(j), scores[i][j]);
          scores[i][j] = tile.ScoreGradient(row, weight, gradients[i][j]);
        }
      }
      threads.Share(scores);
      threads.AddShared(RowsOf<T>(a.k, block, key, a.keys), block.first_column, a.width, dq);
    }
    T* const to = HeadOf<T>(backward.dq, block.batch, block.head);
    threads.ForEach(dq, [&](int i, int column, T value) {
      const int64_t row = block.first_row + threads.Row(i);
      if (row >= a.rows || block.first_column + column >= a.width) return;
      to[row * backward.dq.row_stride + block.first_column + column] = value;
    });
  }
};

// Tiles are transposed here: their rows are keys.
template <typename T>
struct KeyGradientKernel {
  static constexpr const char* kName = "attention_key_gradient";
  static constexpr int kThreads = kTileThreads;
  static constexpr bool kSynchronizes = true;
  static constexpr int kTile = TileSizes<T>::kTile;
  static constexpr int kMicro = TileSizes<T>::kMicro;
  static constexpr int kColumns = kBlockColumns / kSide;
  AttentionKernelArguments forward;
  AttentionBackwardArguments backward;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const AttentionKernelArguments& a = forward;
    const BlockOfHead block(context, a.heads, a.keys, kTile);
    const Visibility visible{a, block.batch};
    const BackwardTile<T> tile{forward, backward, block};
    TileThreads<T, Context> threads(context);
    T dk[kMicro][kColumns] = {};
    T dv[kMicro][kColumns] = {};
    const int64_t first = visible.FirstRow(block.first_row) / kTile * kTile;
    for (int64_t row = first; row < a.rows; row += kTile) {
      const TileRows<T> dout = RowsOf<T>(backward.dout, block, row, a.rows);
      const TileRows<T> q = RowsOf<T>(a.q, block, row, a.rows);
      T weights[kMicro][kMicro];
      T gradients[kMicro][kMicro];
      threads.Multiply(RowsOf<T>(a.k, block, block.first_row, a.keys), q, a.width, weights);
      ForEachScore(threads, [&](int i, int j) {
        weights[i][j] = tile.Weight(visible, row + threads.Column(j),
                                    block.first_row + threads.Row(i), weights[i][j]);
      });
      threads.Share(weights);
      threads.AddShared(dout, block.first_column, a.v_width, dv);
      threads.Multiply(RowsOf<T>(a.v, block, block.first_row, a.keys), dout, a.v_width, gradients);
      ForEachScore(threads, [&](int i, int j) {
        gradients[i][j] =
            tile.ScoreGradient(row + threads.Column(j), weights[i][j], gradients[i][j]);
      });
      threads.Share(gradients);
      threads.AddShared(q, block.first_column, a.width, dk);
    }
    Store(threads, block, backward.dk, a.width, dk);
    Store(threads, block, backward.dv, a.v_width, dv);
  }

 private:
  template <typename Threads, typename Function>
  static TRAINYARD_DEVICE void ForEachScore(const Threads& /*threads*/, Function function) {
    TRAINYARD_UNROLL
    for (int i = 0; i < kMicro; ++i) {
      TRAINYARD_UNROLL
      for (int j = 0; j < kMicro; ++j) function(i, j);
    }
  }

  template <typename Threads>
  TRAINYARD_DEVICE void Store(const Threads& threads, const BlockOfHead& block,
                              const HeadRows& rows, int64_t width,
                              const T (&sum)[kMicro][kColumns]) const {
    T* const to = HeadOf<T>(rows, block.batch, block.head);
    threads.ForEach(sum, [&](int i, int column, T value) {
      const int64_t key = block.first_row + threads.Row(i);
      if (key >= forward.keys || block.first_column + column >= width) return;
      to[key * rows.row_stride + block.first_column + column] = value;
    });
  }
};

template <typename T>
Grid GridOf(const AttentionKernelArguments& arguments, int64_t rows, int64_t columns) {
  return {CeilDivide(rows, TileSizes<T>::kTile) * arguments.batch * arguments.heads,
          CeilDivide(columns, kBlockColumns)};
}

}  // namespace

template <typename T>
void LaunchAttention(Platform& platform, const AttentionKernelArguments& arguments) {
  Launch(platform, GridOf<T>(arguments, arguments.rows, arguments.v_width),
         AttentionKernel<T>{arguments}, TileSizes<T>::kSharedBytes);
}
template void LaunchAttention<float>(Platform&, const AttentionKernelArguments&);
template void LaunchAttention<double>(Platform&, const AttentionKernelArguments&);

template <typename T>
void LaunchAttentionBackward(Platform& platform, const AttentionKernelArguments& forward,
                             const AttentionBackwardArguments& backward) {
  const int64_t rows = forward.batch * forward.heads * forward.rows;
  Launch(platform, Grid{CeilDivide(rows, 8)},
         OutProductsKernel<T>{forward, backward.dout, static_cast<T*>(backward.out_products)});
  Launch(platform, GridOf<T>(forward, forward.rows, forward.width),
         QueryGradientKernel<T>{forward, backward}, TileSizes<T>::kSharedBytes);
  Launch(platform, GridOf<T>(forward, forward.keys, Max(forward.width, forward.v_width)),
         KeyGradientKernel<T>{forward, backward}, TileSizes<T>::kSharedBytes);
}
template void LaunchAttentionBackward<float>(Platform&, const AttentionKernelArguments&,
                                             const AttentionBackwardArguments&);
template void LaunchAttentionBackward<double>(Platform&, const AttentionKernelArguments&,
                                              const AttentionBackwardArguments&);

}  // namespace trainyard::cuda
