// Random gated layers for tests of the products.
#pragma once

#include <cstdint>
#include <vector>

#include "core/algorithms/convex_relu/bit_matrix.h"
#include "core/algorithms/convex_relu/padded_matrix.h"
#include "core/base/random.h"
#include "core/base/thread_pool.h"

namespace trainyard::convex_relu {

template <typename Real>
PaddedMatrix<Real> RandomMatrix(int64_t rows, int columns, Rng& rng) {
  PaddedMatrix<Real> matrix(rows, columns);
  for (int64_t row = 0; row < rows; ++row) {
    for (int i = 0; i < columns; ++i) matrix.row(row)[i] = static_cast<Real>(rng.NextGaussian());
  }
  return matrix;
}

// Columns of bits as BitMatrix takes them.
inline std::vector<uint64_t> RandomColumns(int64_t rows, int64_t patterns, Rng& rng) {
  std::vector<uint64_t> columns;
  for (int64_t p = 0; p < patterns; ++p) {
    for (int64_t block = 0; block < BitBlocks(rows); ++block) {
      const int64_t bits = rows - 64 * block;
      const uint64_t word = rng.NextUint64();
      columns.push_back(bits >= 64 ? word : word & ((uint64_t{1} << bits) - 1));
    }
  }
  return columns;
}

}  // namespace trainyard::convex_relu
