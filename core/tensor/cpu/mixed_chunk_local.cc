#include "core/tensor/cpu/mixed_chunk_parts.h"

namespace trainyard::cpu_attention {

template <typename T>
LocalForward<T>::LocalForward(const MixedChunkViews<T>& views, const Rows<T>& target, int threads)
    : views_(views),
      target_(target),
      scores_(views),
      scratch_(Tensor::Empty(views.arguments.v.device(), {threads, kSideOfSquare * kSideOfSquare},
                             DTypeOf<T>())) {}

template <typename T>
void LocalForward<T>::Run(ThreadPool& threads, const ChunkWindow& window) const {
  const int64_t squares = (views_.chunk + kSideOfSquare - 1) / kSideOfSquare;
  threads.Run(window.batches() * window.chunks() * squares, [&](int64_t task, int thread) {
    // Late squares first: under a causal mask they take longest.
    const int64_t begin = (squares - 1 - task % squares) * kSideOfSquare;
    const int64_t chunk = window.first_chunk + task / squares % window.chunks();
    const int64_t batch = window.first_batch + task / squares / window.chunks();
    const int64_t chunk_rows = views_.SegmentsOf(batch).Rows(chunk).rows();
    if (begin >= chunk_rows) return;
    RunRows(batch, chunk, {begin, std::min(begin + kSideOfSquare, chunk_rows)}, chunk_rows,
            scratch_.template data<T>() + thread * kSideOfSquare * kSideOfSquare);
  });
}

template <typename T>
void LocalForward<T>::RunRows(int64_t batch, int64_t chunk, RowRange rows, int64_t chunk_rows,
                              T* scores) const {
  const bool causal = views_.arguments.causal;
  const int64_t keys_end = causal ? rows.first : chunk_rows;
  for (int64_t key = 0; key < keys_end; key += kSideOfSquare) {
    RunTile({batch, chunk, rows.first, rows.rows(), key, std::min(kSideOfSquare, keys_end - key)},
            scores);
  }
  if (!causal) return;
  for (int64_t row = rows.first; row < rows.end; row += kRowsOfBand) {
    const int64_t end = std::min(row + kRowsOfBand, rows.end);
    RunTile({batch, chunk, row, end - row, rows.first, end - rows.first}, scores);
  }
}

template <typename T>
void LocalForward<T>::RunTile(const ChunkTile& tile, T* scores) const {
  const int64_t start = tile.chunk * views_.chunk;
  scores_.Products(tile, scores, kSideOfSquare);
  scores_.Weigh(tile, scores, kSideOfSquare);
  const int64_t step = scores_.CrossesDiagonal(tile) ? kRowsOfStrip : tile.rows;
  for (int64_t strip = 0; strip < tile.rows; strip += step) {
    const ChunkTile part = scores_.Strip(tile, strip, step);
    SerialGemm({part.rows, views_.e, part.keys}, static_cast<T>(views_.arguments.scale_a),
               scores + strip * kSideOfSquare, kSideOfSquare,
               views_.v.At(tile.batch, start + tile.key), views_.v.stride(),
               tile.key == 0 ? T{0} : T{1}, target_.At(tile.batch, start + part.row),
               target_.stride());
  }
}

template class LocalForward<float>;
template class LocalForward<double>;

}  // namespace trainyard::cpu_attention
