// Tiles of the local weights A = relu(P)^2, P = scale_qk Qq Kq' + b, of mixed chunk attention.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/tensor/cpu/mixed_chunk_views.h"
#include "core/tensor/cpu/score_rows.h"
#include "core/tensor/cpu/serial_gemm.h"

namespace trainyard::cpu_attention {

// Rows that are treated together where the matrix on the right lies row by row: few, so that little
// is computed above the diagonal.
inline constexpr int64_t kRowsOfStrip = 64;
// The same where it is transposed: oneDNN then needs more rows to pay for packing it.
inline constexpr int64_t kRowsOfBand = 2 * kRowsOfStrip;
// Both sides of a square of scores.
inline constexpr int64_t kSideOfSquare = 256;

// Rows [row, row + rows) and keys [key, key + keys) of one chunk, counted within it.
struct ChunkTile {
  int64_t batch = 0;
  int64_t chunk = 0;
  int64_t row = 0;
  int64_t rows = 0;
  int64_t key = 0;
  int64_t keys = 0;
};

template <typename T>
class ChunkScores {
 public:
  explicit ChunkScores(const MixedChunkViews<T>& views) : views_(views) {}

  // Whether causality hides some of the tile's keys from some of its rows.
  bool CrossesDiagonal(const ChunkTile& tile) const {
    return views_.arguments.causal && tile.key + tile.keys > tile.row + 1;
  }
  // At most `rows` rows of the tile from `first` on, with the keys that causality lets them see.
  ChunkTile Strip(const ChunkTile& tile, int64_t first, int64_t rows) const {
    ChunkTile strip = tile;
    strip.row += first;
    strip.rows = std::min(rows, tile.rows - first);
    if (views_.arguments.causal) {
      strip.keys = std::min(tile.keys, strip.row + strip.rows - tile.key);
    }
    return strip;
  }

  // scale_qk Qq Kq'.
  void Products(const ChunkTile& tile, T* scores, int64_t stride) const {
    const int64_t start = tile.chunk * views_.chunk;
    SerialGemm({tile.rows, tile.keys, views_.s, false, true},
               static_cast<T>(views_.arguments.scale_qk),
               views_.quad_q.At(tile.batch, start + tile.row), views_.quad_q.stride(),
               views_.quad_k.At(tile.batch, start + tile.key), views_.quad_k.stride(), T{0}, scores,
               stride);
  }

  // Products become weights A, without scale_a.
  void Weigh(const ChunkTile& tile, T* scores, int64_t stride) const {
    ForEachRow(tile, [&](int64_t i, const VisibleKeys& keys) {
      T* const row = scores + i * stride;
      SquareRectifiedRow(row, keys.bias, keys.count);
      Hide(keys, tile.keys, row);
    });
  }

  // Products become weights A, gradients dA become dP = dA * 2 scale_a relu(P).
  void Differentiate(const ChunkTile& tile, T* scores, T* gradients, int64_t stride) const {
    const T factor = static_cast<T>(2 * views_.arguments.scale_a);
    ForEachRow(tile, [&](int64_t i, const VisibleKeys& keys) {
      T* const row = scores + i * stride;
      T* const gradient = gradients + i * stride;
      DifferentiateSquareRow(row, gradient, keys.bias, keys.count, factor);
      Hide(keys, tile.keys, row);
      Hide(keys, tile.keys, gradient);
    });
  }

 private:
  // What a row sees of the keys of a tile.
  struct VisibleKeys {
    int64_t count = 0;  // those before the diagonal's end
    const T* bias = nullptr;
    const int32_t* segments = nullptr;  // null: all are of the row's segment
    int32_t segment = 0;
  };

  // Values at keys that are not seen become 0.
  static void Hide(const VisibleKeys& visible, int64_t keys, T* row) {
    if (visible.segments != nullptr) {
      for (int64_t j = 0; j < visible.count; ++j) {
        row[j] = visible.segments[j] == visible.segment ? row[j] : T{0};
      }
    }
    std::fill(row + visible.count, row + keys, T{0});
  }

  // function(row of the tile, what it sees).
  template <typename Function>
  void ForEachRow(const ChunkTile& tile, Function&& function) const {
    const ChunkSegments& sequence = views_.SegmentsOf(tile.batch);
    const int32_t* segments =
        sequence.uniform(tile.chunk) ? nullptr : sequence.segments() + tile.chunk * views_.chunk;
    for (int64_t i = 0; i < tile.rows; ++i) {
      const int64_t row = tile.row + i;
      VisibleKeys visible{.count = tile.keys};
      if (views_.arguments.causal) {
        visible.count = std::clamp<int64_t>(row + 1 - tile.key, 0, tile.keys);
      }
      if (views_.bias != nullptr) {
        visible.bias = views_.bias + row * views_.arguments.chunk + tile.key;
      }
      if (segments != nullptr) {
        if (segments[row] < 0) visible.count = 0;
        visible.segments = segments + tile.key;
        visible.segment = segments[row];
      }
      function(i, visible);
    }
  }

  const MixedChunkViews<T>& views_;
};

}  // namespace trainyard::cpu_attention
