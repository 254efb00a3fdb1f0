#include "core/algorithms/convex_relu/lane_tiles.h"

#include <immintrin.h>

#include "core/algorithms/convex_relu/bit_matrix.h"

namespace trainyard::convex_relu {
namespace {

// Has the processor fetch what the next call is going to read, while sums are taken in between: it
// does not see that far by itself. May lie beyond the data.
template <typename Real>
void Prefetch(const Real* from) {
  _mm_prefetch(reinterpret_cast<const char*>(from), _MM_HINT_T0);
}

// Eight numbers, and their products folded to one register.
inline void Multiply(float factor, const float* x, float* to) {
  _mm256_store_ps(to, _mm256_mul_ps(_mm256_set1_ps(factor), _mm256_load_ps(x)));
}
inline void Multiply(double factor, const double* x, double* to) {
  const __m256d factors = _mm256_set1_pd(factor);
  _mm256_store_pd(to, _mm256_mul_pd(factors, _mm256_load_pd(x)));
  _mm256_store_pd(to + 4, _mm256_mul_pd(factors, _mm256_load_pd(x + 4)));
}
inline void Copy(const float* from, float* to) { _mm256_storeu_ps(to, _mm256_loadu_ps(from)); }
inline void Copy(const double* from, double* to) {
  _mm256_storeu_pd(to, _mm256_loadu_pd(from));
  _mm256_storeu_pd(to + 4, _mm256_loadu_pd(from + 4));
}
inline __m256 Products(const float* a, const float* b) {
  return _mm256_mul_ps(_mm256_load_ps(a), _mm256_load_ps(b));
}
inline __m256d Products(const double* a, const double* b) {
  return _mm256_fmadd_pd(_mm256_load_pd(a), _mm256_load_pd(b),
                         _mm256_mul_pd(_mm256_load_pd(a + 4), _mm256_load_pd(b + 4)));
}
inline __m256 Add(__m256 a, __m256 b) { return _mm256_add_ps(a, b); }
inline __m256d Add(__m256d a, __m256d b) { return _mm256_add_pd(a, b); }

// dots[k] += the sum of row k of `rows`, for as many rows as a register has lanes.
inline void AddRowSums(const __m256 rows[8], double* dots) {
  const __m256 a =
      _mm256_hadd_ps(_mm256_hadd_ps(rows[0], rows[1]), _mm256_hadd_ps(rows[2], rows[3]));
  const __m256 b =
      _mm256_hadd_ps(_mm256_hadd_ps(rows[4], rows[5]), _mm256_hadd_ps(rows[6], rows[7]));
  const __m256 sums =
      _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
  const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(sums));
  const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(sums, 1));
  _mm256_storeu_pd(dots, _mm256_add_pd(_mm256_loadu_pd(dots), low));
  _mm256_storeu_pd(dots + 4, _mm256_add_pd(_mm256_loadu_pd(dots + 4), high));
}

inline void AddRowSums(const __m256d rows[4], double* dots) {
  const __m256d a = _mm256_hadd_pd(rows[0], rows[1]);
  const __m256d b = _mm256_hadd_pd(rows[2], rows[3]);
  const __m256d sums =
      _mm256_add_pd(_mm256_permute2f128_pd(a, b, 0x20), _mm256_permute2f128_pd(a, b, 0x31));
  _mm256_storeu_pd(dots, _mm256_add_pd(_mm256_loadu_pd(dots), sums));
}

// dots[k] += sums[k] . row k of kPanels panels. The panels take the first lanes of the tiles.
template <typename Real, int kPanels>
void AddPanelDots(const Real* sums, const Real* const* panels, int64_t count, double* dots) {
  using Register = decltype(Products(sums, sums));
  constexpr int kRows = sizeof(Register) / sizeof(Real);
  for (int64_t k = 0; k < count; k += kRows) {
    Register products[kRows];
    for (int i = 0; i < kRows; ++i) {
      const Real* const tile = sums + (k + i) * kTileLanes<Real>;
      for (int p = 0; p < kPanels; ++p) Prefetch(panels[p] + (count + k + i) * kPanelColumns);
      products[i] = Products(tile, panels[0] + (k + i) * kPanelColumns);
      for (int p = 1; p < kPanels; ++p) {
        products[i] = Add(products[i],
                          Products(tile + p * kPanelColumns, panels[p] + (k + i) * kPanelColumns));
      }
    }
    AddRowSums(products, dots + k);
  }
}

}  // namespace

template <typename Real>
DataPanels<Real>::DataPanels(const PaddedMatrix<Real>& data)
    : rows_(data.rows()),
      padded_rows_(BitBlocks(data.rows()) * 64),
      features_(data.columns()),
      values_(panels() * padded_rows_ * kPanelColumns) {
  for (int64_t row = 0; row < rows_; ++row) {
    for (int p = 0; p < panels(); ++p) {
      Copy(data.row(row) + p * kPanelColumns,
           values_.data() + (p * padded_rows_ + row) * kPanelColumns);
    }
  }
}

template <typename Real>
void LaneTiles<Real>::StageWeights(int64_t tile, const Real* weights, int64_t total,
                                   const int64_t* patterns, int64_t begin, int count,
                                   Real* vectors) const {
  const int stride = data_.stride();
  ForEach(tile, [&](const Segment& segment) {
    const Real* const from = weights + segment.output * total * stride +
                             static_cast<int64_t>(segment.panel) * kPanelColumns;
    for (int k = 0; k < count; ++k) {
      const int64_t pattern = patterns == nullptr ? begin + k : patterns[begin + k];
      Copy(from + pattern * stride, vectors + k * kLanes + segment.lane);
    }
  });
}

template <typename Real>
void LaneTiles<Real>::StageRows(int64_t tile, const Real* residuals, int64_t begin, int count,
                                Real* vectors) const {
  ForEach(tile, [&](const Segment& segment) {
    const Real* const residual = residuals + segment.output * data_.rows() + begin;
    const Real* const panel = data_.panel(segment.panel) + begin * kPanelColumns;
    for (int k = 0; k < count; ++k) {
      Prefetch(panel + (k + 64) * kPanelColumns);
      Multiply(residual[k], panel + k * kPanelColumns, vectors + k * kLanes + segment.lane);
    }
  });
}

template <typename Real>
void LaneTiles<Real>::AddDots(int64_t tile, const Real* sums, int64_t begin, int64_t count,
                              double* dots, int64_t dots_stride) const {
  const int64_t first = first_output(tile);
  if (kSegments == 2 && (tile + 1) * kSegments <= segments() && last_output(tile) == first) {
    const auto left = static_cast<int>(tile * kSegments % data_.panels());
    const Real* const panels[] = {data_.panel(left) + begin * kPanelColumns,
                                  data_.panel(left + 1) + begin * kPanelColumns};
    AddPanelDots<Real, kSegments>(sums, panels, count, dots);
    return;
  }
  ForEach(tile, [&](const Segment& segment) {
    const Real* const panel = data_.panel(segment.panel) + begin * kPanelColumns;
    AddPanelDots<Real, 1>(sums + segment.lane, &panel, count,
                          dots + (segment.output - first) * dots_stride);
  });
}

template <typename Real>
void LaneTiles<Real>::StoreGradient(int64_t tile, const Real* sums, int64_t begin, int64_t count,
                                    int64_t total, Real* gradient) const {
  const int stride = data_.stride();
  ForEach(tile, [&](const Segment& segment) {
    Real* const to = gradient + (segment.output * total + begin) * stride +
                     static_cast<int64_t>(segment.panel) * kPanelColumns;
    for (int64_t k = 0; k < count; ++k) {
      Copy(sums + k * kLanes + segment.lane, to + k * stride);
    }
  });
}

template <typename Real>
void LaneTiles<Real>::AddSquares(int64_t tile, const Real* sums, int64_t count, double* squares,
                                 int64_t squares_stride) const {
  const int64_t first = first_output(tile);
  ForEach(tile, [&](const Segment& segment) {
    double* const to = squares + (segment.output - first) * squares_stride;
    for (int64_t k = 0; k < count; ++k) {
      const Real* const from = sums + k * kLanes + segment.lane;
      double square = 0;
      for (int i = 0; i < kPanelColumns; ++i) {
        square += static_cast<double>(from[i]) * static_cast<double>(from[i]);
      }
      to[k] += square;
    }
  });
}

template class DataPanels<float>;
template class DataPanels<double>;
template class LaneTiles<float>;
template class LaneTiles<double>;

}  // namespace trainyard::convex_relu
