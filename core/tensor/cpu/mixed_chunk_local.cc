#include "core/tensor/cpu/mixed_chunk_parts.h"

namespace trainyard::cpu_attention {

template <typename T>
LocalForward<T>::LocalForward(const MixedChunkViews<T>& views, const Rows<T>& target, int threads)
    : views_(views),
      target_(target),
      scores_(views),
      scratch_(Tensor::Empty(views.arguments.v.device(), {threads, kRowsOfBand * kSideOfSquare},
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
    T* const scores = scratch_.template data<T>() + thread * kRowsOfBand * kSideOfSquare;
    const int64_t stop = std::min(begin + kSideOfSquare, chunk_rows);
    for (int64_t row = begin; row < stop; row += kRowsOfBand) {
      RunBand(batch, chunk, row, std::min(kRowsOfBand, stop - row), chunk_rows, scores);
    }
  });
}

template <typename T>
void LocalForward<T>::RunBand(int64_t batch, int64_t chunk, int64_t row, int64_t rows,
                              int64_t chunk_rows, T* scores) const {
  const int64_t start = chunk * views_.chunk;
  const int64_t keys_end = scores_.KeysOf(row + rows, chunk_rows);
  for (int64_t key = 0; key < keys_end; key += kSideOfSquare) {
    const ChunkTile tile{batch, chunk, row, rows, key, std::min(kSideOfSquare, keys_end - key)};
    scores_.Products(tile, scores, kSideOfSquare);
    scores_.Weigh(tile, scores, kSideOfSquare);
    for (int64_t strip = 0; strip < rows; strip += kRowsOfStrip) {
      const int64_t strip_rows = std::min(kRowsOfStrip, rows - strip);
      const int64_t keys =
          std::min(tile.keys, scores_.KeysOf(row + strip + strip_rows, chunk_rows) - key);
      SerialGemm({strip_rows, views_.e, keys}, static_cast<T>(views_.arguments.scale_a),
                 scores + strip * kSideOfSquare, kSideOfSquare, views_.v.At(batch, start + key),
                 views_.v.stride(), key == 0 ? T{0} : T{1}, target_.At(batch, start + row + strip),
                 target_.stride());
    }
  }
}

template class LocalForward<float>;
template class LocalForward<double>;

}  // namespace trainyard::cpu_attention
