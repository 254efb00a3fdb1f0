#include <algorithm>

#include "core/tensor/cpu/mixed_chunk_backward_parts.h"

namespace trainyard::cpu_attention {
namespace {

constexpr int64_t kPartsWanted = 8;
constexpr int64_t kSumsWanted = 16;

}  // namespace

template <typename T>
LocalBackward<T>::LocalBackward(const MixedChunkViews<T>& views,
                                const MixedChunkGradientViews<T>& gradients, int threads)
    : views_(views),
      gradients_(gradients),
      scores_(views),
      squares_((views.chunk + kSideOfSquare - 1) / kSideOfSquare),
      parts_(squares_ <= 2 ? 1 : std::min(squares_, std::max<int64_t>(kPartsWanted, threads))),
      sums_(std::min(views.batches * views.chunks(), std::max<int64_t>(kSumsWanted, threads))),
      scratch_(
          Tensor::Empty(views.arguments.v.device(), {threads, ScratchOfThread()}, DTypeOf<T>())) {
  Device& device = views.arguments.v.device();
  if (parts_ > 1) {
    partial_queries_ = Tensor::Empty(device, {parts_ - 1, views.chunk, views.s}, DTypeOf<T>());
  } else if (gradients.dbias != nullptr) {
    partial_bias_ = Tensor::Empty(device, {sums_, views.chunk, views.chunk}, DTypeOf<T>());
  }
}

template <typename T>
void LocalBackward<T>::Run(ThreadPool& threads, const ChunkWindow& window) {
  if (parts_ == 1) {
    RunSmallChunks(threads, window);
    return;
  }
  for (int64_t batch = window.first_batch; batch < window.end_batch; ++batch) {
    for (int64_t chunk = window.first_chunk; chunk < window.end_chunk; ++chunk) {
      RunLargeChunk(threads, batch, chunk);
    }
  }
}

template <typename T>
void LocalBackward<T>::RunSmallChunks(ThreadPool& threads, const ChunkWindow& window) {
  const int64_t count = window.batches() * window.chunks();
  const int64_t bias_size = views_.chunk * views_.chunk;
  threads.Run(std::min(count, sums_), [&](int64_t task, int thread) {
    const int64_t sum = (visited_ + task) % sums_;
    Part part{.dquad_q = gradients_.dquad_q,
              .dbias_stride = views_.chunk,
              .scratch = scratch_.template data<T>() + thread * ScratchOfThread()};
    if (partial_bias_.defined()) {
      part.dbias = partial_bias_.template data<T>() + sum * bias_size;
      if (visited_ + task < sums_) std::fill_n(part.dbias, bias_size, T{0});
    }
    for (int64_t i = task; i < count; i += sums_) {
      RunPart(window.first_batch + i % window.batches(),
              window.end_chunk - 1 - i / window.batches(), part);
    }
  });
  visited_ += count;
}

template <typename T>
void LocalBackward<T>::AddBias(ThreadPool& threads) const {
  if (!partial_bias_.defined()) return;
  const T* const partial = partial_bias_.template data<T>();
  threads.Run(views_.chunk, [&](int64_t row, int) {
    T* const to = gradients_.dbias + row * views_.arguments.chunk;
    for (int64_t sum = 0; sum < sums_; ++sum) {
      const T* const from = partial + (sum * views_.chunk + row) * views_.chunk;
      for (int64_t j = 0; j < views_.chunk; ++j) to[j] += from[j];
    }
  });
}

template <typename T>
void LocalBackward<T>::RunLargeChunk(ThreadPool& threads, int64_t batch, int64_t chunk) const {
  const RowRange rows = views_.SegmentsOf(batch).Rows(chunk);
  const int64_t size = views_.chunk * views_.s;
  threads.Run(parts_, [&](int64_t index, int thread) {
    Part part{.index = index,
              .count = parts_,
              .dquad_q = gradients_.dquad_q,
              .dbias = gradients_.dbias,
              .dbias_stride = views_.arguments.chunk,
              .scratch = scratch_.template data<T>() + thread * ScratchOfThread()};
    if (index > 0) {
      T* const own = partial_queries_.template data<T>() + (index - 1) * size;
      std::fill_n(own, size, T{0});
      part.dquad_q = Rows<T>(own, views_.s);
      part.first_row = rows.first;
    }
    RunPart(batch, chunk, part);
  });
  AddQueriesOfParts(threads, batch, chunk);
}

template <typename T>
void LocalBackward<T>::AddQueriesOfParts(ThreadPool& threads, int64_t batch, int64_t chunk) const {
  const RowRange rows = views_.SegmentsOf(batch).Rows(chunk);
  const T* const partial = partial_queries_.template data<T>();
  threads.Run((rows.rows() + kRowsOfStrip - 1) / kRowsOfStrip, [&](int64_t strip, int) {
    const int64_t end = std::min((strip + 1) * kRowsOfStrip, rows.rows());
    for (int64_t row = strip * kRowsOfStrip; row < end; ++row) {
      T* const to = gradients_.dquad_q.At(batch, rows.first + row);
      for (int64_t index = 0; index + 1 < parts_; ++index) {
        const T* const from = partial + (index * views_.chunk + row) * views_.s;
        for (int64_t j = 0; j < views_.s; ++j) to[j] += from[j];
      }
    }
  });
}

template <typename T>
void LocalBackward<T>::RunPart(int64_t batch, int64_t chunk, const Part& part) const {
  const int64_t chunk_rows = views_.SegmentsOf(batch).Rows(chunk).rows();
  for (int64_t key = part.index * kSideOfSquare; key < chunk_rows;
       key += part.count * kSideOfSquare) {
    const int64_t keys = std::min(kSideOfSquare, chunk_rows - key);
    const int64_t begin = views_.arguments.causal ? key : 0;
    for (int64_t row = begin; row < chunk_rows; row += kSideOfSquare) {
      const int64_t rows = std::min(kSideOfSquare, chunk_rows - row);
      RunSquare({batch, chunk, row, rows, key, keys}, part, row == begin);
    }
  }
}

template <typename T>
void LocalBackward<T>::RunSquare(const ChunkTile& square, const Part& part, bool first) const {
  const int64_t start = square.chunk * views_.chunk;
  T* const weights = part.scratch;
  T* const dscores = weights + kSideOfSquare * kSideOfSquare;
  const int64_t step = scores_.CrossesDiagonal(square) ? kRowsOfBand : square.rows;
  for (int64_t row = 0; row < square.rows; row += step) {
    const ChunkTile band = scores_.Strip(square, row, step);
    T* const band_weights = weights + row * kSideOfSquare;
    T* const band_dscores = dscores + row * kSideOfSquare;
    scores_.Products(band, band_weights, kSideOfSquare);
    SerialGemm({band.rows, band.keys, views_.e, false, true}, T{1},
               gradients_.dungated.At(square.batch, start + band.row), gradients_.dungated.stride(),
               views_.v.At(square.batch, start + square.key), views_.v.stride(), T{0}, band_dscores,
               kSideOfSquare);
    scores_.Differentiate(band, band_weights, band_dscores, kSideOfSquare);
    AddToQueries(band, part, band_dscores);
  }
  AddToKeys(square, part, first);
}

template <typename T>
void LocalBackward<T>::AddToQueries(const ChunkTile& band, const Part& part,
                                    const T* dscores) const {
  const int64_t start = band.chunk * views_.chunk;
  const bool overwrite = part.index == 0 && band.key == 0;
  const int64_t step = scores_.CrossesDiagonal(band) ? kRowsOfStrip : band.rows;
  for (int64_t row = 0; row < band.rows; row += step) {
    const ChunkTile strip = scores_.Strip(band, row, step);
    SerialGemm({strip.rows, views_.s, strip.keys}, static_cast<T>(views_.arguments.scale_qk),
               dscores + row * kSideOfSquare, kSideOfSquare,
               views_.quad_k.At(strip.batch, start + strip.key), views_.quad_k.stride(),
               overwrite ? T{0} : T{1},
               part.dquad_q.At(strip.batch, start + strip.row - part.first_row),
               part.dquad_q.stride());
  }
  if (part.dbias == nullptr) return;
  for (int64_t i = 0; i < band.rows; ++i) {
    T* const to = part.dbias + (band.row + i) * part.dbias_stride + band.key;
    const T* const from = dscores + i * kSideOfSquare;
    for (int64_t j = 0; j < band.keys; ++j) to[j] += from[j];
  }
}

template <typename T>
void LocalBackward<T>::AddToKeys(const ChunkTile& square, const Part& part, bool first) const {
  const int64_t start = square.chunk * views_.chunk;
  const bool diagonal = scores_.CrossesDiagonal(square);
  const int64_t step = diagonal ? kRowsOfStrip : square.keys;
  const T beta = first ? T{0} : T{1};
  for (int64_t key = 0; key < square.keys; key += step) {
    const int64_t keys = std::min(step, square.keys - key);
    const int64_t skipped = diagonal ? key : 0;
    const int64_t rows = square.rows - skipped;
    const T* const weights = part.scratch + skipped * kSideOfSquare + key;
    const T* const dscores = weights + kSideOfSquare * kSideOfSquare;
    const int64_t to = start + square.key + key;
    SerialGemm({keys, views_.e, rows, true, false}, static_cast<T>(views_.arguments.scale_a),
               weights, kSideOfSquare,
               gradients_.dungated.At(square.batch, start + square.row + skipped),
               gradients_.dungated.stride(), beta, gradients_.dv.At(square.batch, to),
               gradients_.dv.stride());
    SerialGemm({keys, views_.s, rows, true, false}, static_cast<T>(views_.arguments.scale_qk),
               dscores, kSideOfSquare, views_.quad_q.At(square.batch, start + square.row + skipped),
               views_.quad_q.stride(), beta, gradients_.dquad_k.At(square.batch, to),
               gradients_.dquad_k.stride());
  }
}

template class LocalBackward<float>;
template class LocalBackward<double>;

}  // namespace trainyard::cpu_attention
