#include "core/tensor/cpu/lane_pack.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>

namespace trainyard {
namespace {

constexpr int kBlock = 8;

// to[j * to_stride + i] = from[i][j] for a block of 8 x 8.
void TransposeBlock(const float* const from[kBlock], float* to, int64_t to_stride) {
  __m256 rows[kBlock];
  for (int i = 0; i < kBlock; ++i) rows[i] = _mm256_loadu_ps(from[i]);
  __m256 pairs[kBlock];
  for (int i = 0; i < kBlock; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
  }
  __m256 quads[kBlock];
  for (int i = 0; i < kBlock; i += 4) {
    quads[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    quads[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    quads[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    quads[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
  for (int j = 0; j < 4; ++j) {
    _mm256_storeu_ps(to + j * to_stride, _mm256_permute2f128_ps(quads[j], quads[j + 4], 0x20));
    _mm256_storeu_ps(to + (j + 4) * to_stride,
                     _mm256_permute2f128_ps(quads[j], quads[j + 4], 0x31));
  }
}

// One vector whose steps lie side by side in every lane.
void PackAlongSteps(const LaneVectors& from, const float* b, int64_t steps, int valid, float* to,
                    int64_t to_step) {
  int lane = 0;
  for (; lane + kBlock <= valid; lane += kBlock) {
    int64_t k = 0;
    for (; k + kBlock <= steps; k += kBlock) {
      const float* rows[kBlock];
      for (int i = 0; i < kBlock; ++i) rows[i] = b + from.lane[lane + i] + k;
      TransposeBlock(rows, to + k * to_step + lane, to_step);
    }
    for (; k < steps; ++k) {
      for (int i = lane; i < lane + kBlock; ++i) to[k * to_step + i] = b[from.lane[i] + k];
    }
  }
  for (; lane < valid; ++lane) {
    for (int64_t k = 0; k < steps; ++k) to[k * to_step + lane] = b[from.lane[lane] + k];
  }
  for (int64_t k = 0; k < steps; ++k) {
    std::fill(to + k * to_step + valid, to + k * to_step + from.width, 0.0F);
  }
}

void PackOne(const LaneVectors& from, const float* b, int64_t steps, int valid, float* to,
             int64_t to_step) {
  if (from.step == 1) return PackAlongSteps(from, b, steps, valid, to, to_step);
  const bool contiguous = from.lane[valid - 1] == valid - 1;
  for (int64_t k = 0; k < steps; ++k) {
    if (contiguous && valid == from.width) {
      for (int i = 0; i < from.width; i += kBlock) _mm256_storeu_ps(to + i, _mm256_loadu_ps(b + i));
    } else {
      for (int i = 0; i < valid; ++i) to[i] = b[from.lane[i]];
      std::fill(to + valid, to + from.width, 0.0F);
    }
    b += from.step;
    to += to_step;
  }
}

}  // namespace

void PackVectors(const LaneVectors& from, int64_t first_step, int64_t steps, int64_t first_vector,
                 int64_t vectors, bool ends, float* to) {
  for (int64_t v = 0; v < vectors; ++v) {
    const float* const b = from.b + first_step * from.step + (first_vector + v) * from.vector;
    const int valid = ends && v + 1 == vectors ? from.last_valid : from.valid;
    PackOne(from, b, steps, valid, to + v * from.width, vectors * from.width);
  }
}

namespace {

// Elements of rows that lie side by side.
template <int kFloats>
void PackTogether(const LaneRows& from, int64_t tiles, int64_t steps, float* to) {
  const int64_t tile = steps * kFloats;
  for (int64_t k = 0; k < steps; ++k) {
    const float* a = from.a + k * from.step;
    for (int64_t i = 0; i < tiles; ++i) {
      std::memcpy(to + i * tile + k * kFloats, a, kFloats * sizeof(float));
      a += kFloats;
    }
  }
}

bool PackTogether(const LaneRows& from, int64_t tiles, int64_t steps, float* to) {
  if (from.row != from.lanes || from.width != from.lanes) return false;
  switch (from.height * from.lanes) {
    case 6:
      PackTogether<6>(from, tiles, steps, to);
      return true;
    case 8:
      PackTogether<8>(from, tiles, steps, to);
      return true;
    case 12:
      PackTogether<12>(from, tiles, steps, to);
      return true;
    case 24:
      PackTogether<24>(from, tiles, steps, to);
      return true;
    default:
      return false;
  }
}

// Copies of a known size need no loop.
template <int kWidth>
void CopyTile(const LaneRows& from, const float* a, int64_t rows, int64_t steps, float* to) {
  for (int64_t k = 0; k < steps; ++k) {
    for (int64_t r = 0; r < rows; ++r) {
      std::memcpy(to, a + r * from.row + k * from.step, kWidth * sizeof(float));
      to += kWidth;
    }
    to = std::fill_n(to, (from.height - rows) * kWidth, 0.0F);
  }
}

void RepeatTile(const LaneRows& from, const float* a, int64_t rows, int64_t steps, float* to) {
  for (int64_t k = 0; k < steps; ++k) {
    for (int64_t r = 0; r < rows; ++r) {
      const float* const element = a + r * from.row + k * from.step;
      for (int i = 0; i < from.lanes; ++i) to[i] = element[i];
      for (int i = from.lanes; i < from.width; ++i) to[i] = to[i - from.lanes];
      to += from.width;
    }
    to = std::fill_n(to, (from.height - rows) * from.width, 0.0F);
  }
}

void PackTile(const LaneRows& from, const float* a, int64_t rows, int64_t steps, float* to) {
  if (from.width != from.lanes) return RepeatTile(from, a, rows, steps, to);
  switch (from.lanes) {
    case 1:
      return CopyTile<1>(from, a, rows, steps, to);
    case 2:
      return CopyTile<2>(from, a, rows, steps, to);
    case 4:
      return CopyTile<4>(from, a, rows, steps, to);
    case 8:
      return CopyTile<8>(from, a, rows, steps, to);
    case 16:
      return CopyTile<16>(from, a, rows, steps, to);
    default:
      return RepeatTile(from, a, rows, steps, to);
  }
}

}  // namespace

void PackRows(const LaneRows& from, int64_t rows, int64_t steps, float* to) {
  const int64_t tile = from.height * steps * from.width;
  const int64_t whole = rows / from.height;
  int64_t done = 0;
  if (PackTogether(from, whole, steps, to)) done = whole * from.height;
  for (int64_t i = done; i < rows; i += from.height) {
    PackTile(from, from.a + i * from.row, std::min<int64_t>(from.height, rows - i), steps,
             to + i / from.height * tile);
  }
}

}  // namespace trainyard
