// Products of matrices that are interleaved column by column, on one thread: what the factors of
// structured matrices are made of. No operand is permuted in memory.
#pragma once

#include <cstdint>

#include "core/tensor/cpu/lane_tile.h"

namespace trainyard {

// `lanes` products at once, lane l of unit u of row i being
//   c[i, u, l] (+)= bias[u, l] + sum over k of a[i, k, l] * b[k, u, l].
// With one lane it is a matrix product of matrices with free strides. Element (i, u, l) of c is at
// c + i * c_row + u * c_unit + l, and so for the others. Lanes of a, c and bias lie side by side;
// where they are fewer than a register's, units of c should too.
struct LaneProduct {
  int64_t m = 0;
  int64_t k = 0;
  int64_t units = 0;
  int64_t lanes = 1;
  // Lanes of the last unit that exist, in 1 … lanes. (Those of a and b are read all the same.)
  int64_t last_lanes = 1;

  const float* a = nullptr;
  int64_t a_row = 0;
  int64_t a_step = 0;
  const float* b = nullptr;
  int64_t b_step = 0;
  int64_t b_unit = 0;
  int64_t b_lane = 0;
  float* c = nullptr;
  int64_t c_row = 0;
  int64_t c_unit = 0;

  const float* bias = nullptr;  // strides as in a row of c
  bool accumulate = false;

  // The product of units [begin, end) alone.
  LaneProduct Units(int64_t begin, int64_t end) const;
  // The product of rows [begin, end) alone.
  LaneProduct Rows(int64_t begin, int64_t end) const;
  // The product of lanes [begin, end) alone. May have no units left.
  LaneProduct Lanes(int64_t begin, int64_t end) const;
};

// Floats that one thread needs for its part of the work.
inline constexpr int64_t kLaneScratch = 96 * 1024;

// `scratch` has kLaneScratch floats.
void MultiplyLanes(const LaneProduct& product, float* scratch,
                   const LaneFunctions& functions = FastestLaneFunctions());

// For products that share their b: its elements in the order of the work.
int64_t PackedSize(const LaneProduct& product,
                   const LaneFunctions& functions = FastestLaneFunctions());
void PackLanes(const LaneProduct& product, float* packed,
               const LaneFunctions& functions = FastestLaneFunctions());
void MultiplyPackedLanes(const LaneProduct& product, const float* packed, float* scratch,
                         const LaneFunctions& functions = FastestLaneFunctions());

}  // namespace trainyard
