// Tiles of the local weights A = relu(P)^2, P = scale_qk Qq Kq' + b, of mixed chunk attention.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/tensor/cpu/mixed_chunk_views.h"
#include "core/tensor/cpu/serial_gemm.h"

namespace trainyard::cpu_attention {

// Rows that are treated together: small, so that little is computed above the diagonal.
inline constexpr int64_t kRowsOfStrip = 64;
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

  // Keys [0, this) are seen by rows before `row_end` of a chunk of `rows`.
  int64_t KeysOf(int64_t row_end, int64_t rows) const {
    return views_.arguments.causal ? row_end : rows;
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
    ForEachRow(
        tile, [&](int64_t i, int64_t visible, const T* bias, const int32_t* keys, int32_t segment) {
          T* const row = scores + i * stride;
          if (bias != nullptr) {
            for (int64_t j = 0; j < visible; ++j) row[j] += bias[j];
          }
          for (int64_t j = 0; j < visible; ++j) {
            const T positive = std::max(row[j], T{0});
            row[j] = positive * positive;
          }
          if (keys != nullptr) Hide(row, visible, keys, segment);
          std::fill(row + visible, row + tile.keys, T{0});
        });
  }

  // Products become weights A, gradients dA become dP = dA * 2 scale_a relu(P).
  void Differentiate(const ChunkTile& tile, T* scores, T* gradients, int64_t stride) const {
    const T factor = static_cast<T>(2 * views_.arguments.scale_a);
    ForEachRow(
        tile, [&](int64_t i, int64_t visible, const T* bias, const int32_t* keys, int32_t segment) {
          T* const row = scores + i * stride;
          T* const gradient = gradients + i * stride;
          if (bias != nullptr) {
            for (int64_t j = 0; j < visible; ++j) row[j] += bias[j];
          }
          for (int64_t j = 0; j < visible; ++j) {
            const T positive = std::max(row[j], T{0});
            row[j] = positive * positive;
            gradient[j] *= factor * positive;
          }
          if (keys != nullptr) {
            Hide(row, visible, keys, segment);
            Hide(gradient, visible, keys, segment);
          }
          std::fill(row + visible, row + tile.keys, T{0});
          std::fill(gradient + visible, gradient + tile.keys, T{0});
        });
  }

 private:
  static void Hide(T* row, int64_t n, const int32_t* keys, int32_t segment) {
    for (int64_t j = 0; j < n; ++j) row[j] = keys[j] == segment ? row[j] : T{0};
  }

  // function(row of the tile, how many of its keys come before the diagonal's end, their biases or
  // null, their segments or null where nothing is masked, the row's segment).
  template <typename Function>
  void ForEachRow(const ChunkTile& tile, Function&& function) const {
    const ChunkSegments& sequence = views_.SegmentsOf(tile.batch);
    const int32_t* segments =
        sequence.uniform(tile.chunk) ? nullptr : sequence.segments() + tile.chunk * views_.chunk;
    for (int64_t i = 0; i < tile.rows; ++i) {
      const int64_t row = tile.row + i;
      int64_t visible = tile.keys;
      if (views_.arguments.causal) {
        visible = std::clamp<int64_t>(row + 1 - tile.key, 0, tile.keys);
      }
      const T* bias =
          views_.bias == nullptr ? nullptr : views_.bias + row * views_.arguments.chunk + tile.key;
      if (segments == nullptr) {
        function(i, visible, bias, nullptr, 0);
      } else {
        if (segments[row] < 0) visible = 0;
        function(i, visible, bias, segments + tile.key, segments[row]);
      }
    }
  }

  const MixedChunkViews<T>& views_;
};

}  // namespace trainyard::cpu_attention
