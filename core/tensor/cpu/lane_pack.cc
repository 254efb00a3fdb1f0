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

void PackLanesApart(const LaneVectors& from, const float* b, int64_t steps, int valid, float* to,
                    int64_t to_step) {
  for (int64_t k = 0; k < steps; ++k) {
    for (int i = 0; i < valid; ++i) to[i] = b[from.lane[i]];
    std::fill(to + valid, to + from.width, 0.0F);
    b += from.step;
    to += to_step;
  }
}

// Whole registers of units that lie side by side: every step is a transposition of units and lanes.
void PackUnitsTogether(const LaneVectors& from, const float* b, int64_t steps, int64_t units,
                       float* to) {
  for (int64_t k = 0; k < steps; ++k) {
    for (int lane = 0; lane < from.lanes; lane += 4) {
      const float* const rows = b + lane * from.lane_stride;
      for (int64_t unit = 0; unit < units; unit += 4) {
        __m128 block[4];
        for (int i = 0; i < 4; ++i) block[i] = _mm_loadu_ps(rows + i * from.lane_stride + unit);
        _MM_TRANSPOSE4_PS(block[0], block[1], block[2], block[3]);
        for (int i = 0; i < 4; ++i) _mm_storeu_ps(to + (unit + i) * from.lanes + lane, block[i]);
      }
    }
    b += from.step;
    to += units * from.lanes;
  }
}

// Whole registers that lie as they are wanted. Steps are far apart: the next ones are asked for
// before they are needed.
void PackRegisters(const LaneVectors& from, const float* b, int64_t steps, int64_t vectors,
                   float* to) {
  constexpr int64_t kAhead = 8;
  for (int64_t k = 0; k < steps; ++k) {
    for (int64_t v = 0; v < vectors; ++v) {
      const float* const at = b + v * from.vector;
      _mm_prefetch(reinterpret_cast<const char*>(at + kAhead * from.step), _MM_HINT_T0);
      for (int i = 0; i < from.width; i += kBlock) {
        _mm256_storeu_ps(to + i, _mm256_loadu_ps(at + i));
      }
      to += from.width;
    }
    b += from.step;
  }
}

}  // namespace

void PackVectors(const LaneVectors& from, int64_t first_step, int64_t steps, int64_t first_vector,
                 int64_t vectors, bool ends, float* to) {
  const float* const b = from.b + first_step * from.step + first_vector * from.vector;
  const int last = ends ? from.last_valid : from.valid;
  if (from.step != 1 && last == from.width && from.lane[last - 1] == last - 1) {
    return PackRegisters(from, b, steps, vectors, to);
  }
  const int64_t units = vectors * from.width / from.lanes;
  if (from.step != 1 && from.unit_stride == 1 && last == from.width && from.lanes % 4 == 0 &&
      units % 4 == 0) {
    return PackUnitsTogether(from, b, steps, units, to);
  }
  for (int64_t v = 0; v < vectors; ++v) {
    const auto pack = from.step == 1 ? PackAlongSteps : PackLanesApart;
    pack(from, b + v * from.vector, steps, v + 1 < vectors ? from.valid : last, to + v * from.width,
         vectors * from.width);
  }
}

namespace {

// Of the next steps, which are far apart.
constexpr int64_t kStepsAhead = 8;

// Step by step through all tiles, for rows that are closer to one another than steps are.
template <int kWidth>
void CopyBySteps(const LaneRows& from, int64_t rows, int64_t steps, float* to) {
  const int64_t tile = from.height * steps * kWidth;
  const int64_t tiles = (rows + from.height - 1) / from.height;
  for (int64_t k = 0; k < steps; ++k) {
    const float* a = from.a + k * from.step;
    for (int64_t i = 0; i < tiles; ++i) {
      float* at = to + i * tile + k * from.height * kWidth;
      const int64_t here = std::min<int64_t>(from.height, rows - i * from.height);
      for (int64_t r = 0; r < here; ++r) {
        if constexpr (kWidth >= 8) {
          _mm_prefetch(reinterpret_cast<const char*>(a + kStepsAhead * from.step), _MM_HINT_T0);
        }
        std::memcpy(at, a, kWidth * sizeof(float));
        a += from.row;
        at += kWidth;
      }
      std::fill_n(at, (from.height - here) * kWidth, 0.0F);
    }
  }
}

// The same where all elements of a step lie side by side: kFloats of a tile, and `rest` of a last
// one.
template <int kFloats>
void CopyStepsTogether(const LaneRows& from, int64_t floats, int64_t steps, float* to) {
  const int64_t tile = steps * kFloats;
  const int64_t tiles = floats / kFloats;
  const auto rest = static_cast<size_t>(floats % kFloats);
  if (rest > 0) std::fill_n(to + tiles * tile, tile, 0.0F);
  for (int64_t k = 0; k < steps; ++k) {
    const float* a = from.a + k * from.step;
    for (int64_t i = 0; i < tiles; ++i) {
      _mm_prefetch(reinterpret_cast<const char*>(a + kStepsAhead * from.step), _MM_HINT_T0);
      std::memcpy(to + i * tile + k * kFloats, a, kFloats * sizeof(float));
      a += kFloats;
    }
    if (rest > 0) std::memcpy(to + tiles * tile + k * kFloats, a, rest * sizeof(float));
  }
}

template <int kWidth>
void CopySteps(const LaneRows& from, int64_t rows, int64_t steps, float* to) {
  if (from.row != kWidth) return CopyBySteps<kWidth>(from, rows, steps, to);
  switch (from.height * kWidth) {
    case 6:
      return CopyStepsTogether<6>(from, rows * kWidth, steps, to);
    case 8:
      return CopyStepsTogether<8>(from, rows * kWidth, steps, to);
    case 12:
      return CopyStepsTogether<12>(from, rows * kWidth, steps, to);
    case 24:
      return CopyStepsTogether<24>(from, rows * kWidth, steps, to);
    default:
      return CopyBySteps<kWidth>(from, rows, steps, to);
  }
}

// Row by row, for elements that are closer to one another than rows are.
template <int kWidth>
void CopyByRows(const LaneRows& from, int64_t rows, int64_t steps, float* to) {
  for (int64_t i = 0; i < rows; i += from.height) {
    for (int64_t k = 0; k < steps; ++k) {
      const float* a = from.a + i * from.row + k * from.step;
      const int64_t here = std::min<int64_t>(from.height, rows - i);
      for (int64_t r = 0; r < here; ++r) {
        std::memcpy(to, a, kWidth * sizeof(float));
        a += from.row;
        to += kWidth;
      }
      to = std::fill_n(to, (from.height - here) * kWidth, 0.0F);
    }
  }
}

template <int kWidth>
void Copy(const LaneRows& from, int64_t rows, int64_t steps, float* to) {
  if (from.row > from.step) {
    CopyByRows<kWidth>(from, rows, steps, to);
  } else {
    CopySteps<kWidth>(from, rows, steps, to);
  }
}

void Repeat(const LaneRows& from, int64_t rows, int64_t steps, float* to) {
  for (int64_t i = 0; i < rows; i += from.height) {
    for (int64_t k = 0; k < steps; ++k) {
      const int64_t here = std::min<int64_t>(from.height, rows - i);
      for (int64_t r = i; r < i + here; ++r) {
        const float* const element = from.a + r * from.row + k * from.step;
        for (int l = 0; l < from.lanes; ++l) to[l] = element[l];
        for (int l = from.lanes; l < from.width; ++l) to[l] = to[l - from.lanes];
        to += from.width;
      }
      to = std::fill_n(to, (from.height - here) * from.width, 0.0F);
    }
  }
}

}  // namespace

void PackRows(const LaneRows& from, int64_t rows, int64_t steps, float* to) {
  if (from.width != from.lanes) return Repeat(from, rows, steps, to);
  switch (from.lanes) {
    case 1:
      return Copy<1>(from, rows, steps, to);
    case 2:
      return Copy<2>(from, rows, steps, to);
    case 4:
      return Copy<4>(from, rows, steps, to);
    case 8:
      return Copy<8>(from, rows, steps, to);
    default:
      return Copy<16>(from, rows, steps, to);
  }
}

}  // namespace trainyard
