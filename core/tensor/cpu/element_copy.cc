#include "core/tensor/cpu/element_copy.h"

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "core/tensor/cpu/element_loop.h"
#include "core/tensor/cpu/parallel_ranges.h"
#include "core/tensor/cpu/strided_loop.h"

namespace trainyard {
namespace {

constexpr int64_t kGrain = 65536;
constexpr int64_t kTile = 16;

template <typename T>
inline constexpr int64_t kLane = 32 / sizeof(T);

// Elements before the first that is aligned for streaming.
template <typename T>
int64_t Unaligned(const T* to, int64_t count) {
  const auto offset = static_cast<int64_t>(reinterpret_cast<uintptr_t>(to) % 32 / sizeof(T));
  return std::min(count, (kLane<T> - offset) % kLane<T>);
}

// Past the caches; who calls ends with a fence.
template <typename T>
void StreamCopy(const T* from, T* to, int64_t count) {
  int64_t i = Unaligned(to, count);
  std::copy_n(from, i, to);
  for (; i + kLane<T> <= count; i += kLane<T>) {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i),
                        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i)));
  }
  std::copy_n(from + i, count - i, to + i);
}

template <typename T>
void StreamFill(T value, T* to, int64_t count) {
  std::array<T, kLane<T>> pattern;
  pattern.fill(value);
  const __m256i lane = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pattern.data()));
  int64_t i = Unaligned(to, count);
  std::fill_n(to, i, value);
  for (; i + kLane<T> <= count; i += kLane<T>) {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i), lane);
  }
  std::fill_n(to + i, count - i, value);
}

template <typename From, typename To>
void CopyRow(const From* from, int64_t from_stride, To* to, int64_t to_stride, int64_t count,
             bool streams) {
  if (from_stride != 1 || to_stride != 1) {
    for (int64_t i = 0; i < count; ++i) {
      to[i * to_stride] = static_cast<To>(from[i * from_stride]);
    }
  } else if constexpr (std::is_same_v<From, To>) {
    if (streams) return StreamCopy(from, to, count);
    // A tensor may be copied to itself.
    std::memmove(to, from, static_cast<size_t>(count) * sizeof(To));
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<To>(from[i]);
  }
}

// target[r, c] = source[c, r] for 8 x 8 elements.
void TransposeEight(const float* source, int64_t source_stride, float* target,
                    int64_t target_stride) {
  __m256 rows[8];
  __m256 pairs[8];
  for (int i = 0; i < 8; ++i) rows[i] = _mm256_loadu_ps(source + i * source_stride);
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int k = 0; k < 2; ++k) {
      const __m256d a = _mm256_castps_pd(pairs[i + k]);
      const __m256d b = _mm256_castps_pd(pairs[i + 2 + k]);
      rows[i + 2 * k] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
      rows[i + 2 * k + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, b));
    }
  }
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(target + i * target_stride,
                     _mm256_permute2f128_ps(rows[i], rows[i + 4], 0x20));
    _mm256_storeu_ps(target + (i + 4) * target_stride,
                     _mm256_permute2f128_ps(rows[i], rows[i + 4], 0x31));
  }
}

// target[r, c] = source[c, r]. Whole lines are read and written at once: rows that are far apart
// may not stay in the cache together.
template <typename From, typename To>
void CopyTile(const From* source, int64_t source_stride, To* target, int64_t target_stride,
              int64_t rows, int64_t columns) {
  if constexpr (std::is_same_v<From, float> && std::is_same_v<To, float>) {
    if (rows == kTile && columns == kTile) {
      for (int64_t r = 0; r < kTile; r += 8) {
        for (int64_t c = 0; c < kTile; c += 8) {
          TransposeEight(source + c * source_stride + r, source_stride,
                         target + r * target_stride + c, target_stride);
        }
      }
      return;
    }
  }
  std::array<std::array<To, kTile>, kTile> tile;
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t r = 0; r < rows; ++r) {
      tile[r][c] = static_cast<To>(source[c * source_stride + r]);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    std::copy_n(tile[r].data(), columns, target + r * target_stride);
  }
}

// Rows of `to` are columns of `from`, in bands of rows.
template <typename From, typename To>
void CopyTransposed(CpuDevice& device, const StridedLoop& loop, const From* from, To* to) {
  const int last = loop.rank() - 1;
  const int64_t rows = loop.size(last - 1);
  const int64_t columns = loop.size(last);
  const int64_t bands = (rows + kTile - 1) / kTile;
  const int64_t matrices = loop.elements() / (rows * columns);
  const int64_t from_stride = loop.stride(1, last);
  const int64_t to_stride = loop.stride(0, last - 1);
  const auto copy_band = [&](const From* source, To* target, int64_t height) {
    for (int64_t c = 0; c < columns; c += kTile) {
      CopyTile(source + c * from_stride, from_stride, target + c, to_stride, height,
               std::min(kTile, columns - c));
    }
  };
  ParallelRanges(
      device.threads(), matrices * bands, kGrain / (kTile * columns) + 1,
      [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t row = i % bands * kTile;
          // The matrix' first element, by the loop's own order.
          loop.ForRows(i / bands * rows * columns, i / bands * rows * columns + 1,
                       [&](const auto& offsets, int64_t) {
                         copy_band(from + offsets[1] + row, to + offsets[0] + row * to_stride,
                                   std::min(kTile, rows - row));
                       });
        }
      },
      1);
}

template <typename From, typename To>
void CopyTyped(CpuDevice& device, const Tensor& in, const Tensor& out) {
  const std::array<const Tensor*, 2> operands = {&out, &in};
  const StridedLoop loop(operands);
  const From* const from = in.data<From>();
  To* const to = out.data<To>();
  if (loop.elements() == 0) return;
  const int last = loop.rank() - 1;
  if (last > 0 && loop.row_stride(0) == 1 && loop.row_stride(1) != 1 &&
      loop.stride(1, last - 1) == 1) {
    return CopyTransposed(device, loop, from, to);
  }
  const bool streams = in.bytes() + out.bytes() >= kStreamedBytes;
  ParallelRanges(device.threads(), loop.elements(), kGrain, [&](int64_t begin, int64_t end) {
    loop.ForRows(begin, end, [&](const auto& offsets, int64_t length) {
      CopyRow(from + offsets[1], loop.row_stride(1), to + offsets[0], loop.row_stride(0), length,
              streams);
    });
    if (streams) _mm_sfence();
  });
}

template <typename T>
void FillTyped(CpuDevice& device, T value, const Tensor& out) {
  const Tensor* const operand = &out;
  const StridedLoop loop(std::span(&operand, 1));
  const int64_t stride = loop.row_stride(0);
  const bool streams = out.bytes() >= kStreamedBytes;
  T* const to = out.data<T>();
  ParallelRanges(device.threads(), loop.elements(), kGrain, [&](int64_t begin, int64_t end) {
    loop.ForRows(begin, end, [&](const auto& offsets, int64_t length) {
      if (stride == 1 && streams) {
        StreamFill(value, to + offsets[0], length);
      } else if (stride == 1) {
        std::fill_n(to + offsets[0], length, value);
      } else {
        for (int64_t i = 0; i < length; ++i) to[offsets[0] + i * stride] = value;
      }
    });
    if (streams) _mm_sfence();
  });
}

template <typename Function>
void DispatchAny(DType type, Function&& function) {
  switch (type) {
    case DType::kFloat32:
      return function.template operator()<float>();
    case DType::kFloat64:
      return function.template operator()<double>();
    case DType::kInt32:
      return function.template operator()<int32_t>();
    case DType::kUint8:
      return function.template operator()<uint8_t>();
  }
}

}  // namespace

void CopyElements(CpuDevice& device, const Tensor& in, const Tensor& out) {
  DispatchAny(in.dtype(), [&]<typename From>() {
    DispatchAny(out.dtype(), [&]<typename To>() { CopyTyped<From, To>(device, in, out); });
  });
}

void FillElements(CpuDevice& device, double value, const Tensor& out) {
  DispatchAny(out.dtype(), [&]<typename T>() { FillTyped(device, static_cast<T>(value), out); });
}

}  // namespace trainyard
