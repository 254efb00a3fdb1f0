// Copies operands of products of lanes into the order in which tiles read them.
#pragma once

#include <array>
#include <cstdint>

#include "core/tensor/cpu/lane_product.h"

namespace trainyard {

inline constexpr int kMostLanes = 16;  // of a register

// Vectors of b of equal spacing in memory: lane i of vector v at step k is at
// b + k * step + v * vector + lane[i].
struct LaneVectors {
  const float* b = nullptr;
  int64_t step = 0;
  int64_t vector = 0;
  std::array<int64_t, kMostLanes> lane{};
  int width = 0;       // floats of a register
  int valid = 0;       // lanes that exist, of all vectors but the last; others are packed as 0
  int last_valid = 0;  // and of the last
};

// to[(k - first_step) * vectors + v, width] for steps [first_step, first_step + steps) and vectors
// first_vector + v; `ends`: the last of them is the last of all.
void PackVectors(const LaneVectors& from, int64_t first_step, int64_t steps, int64_t first_vector,
                 int64_t vectors, bool ends, float* to);

// to[k, tile_rows, lanes] from a + r * row + k * step; rows from `rows` on become 0.
void PackRows(const float* a, int64_t row, int64_t step, int64_t steps, int64_t lanes, int rows,
              int tile_rows, float* to);

}  // namespace trainyard
