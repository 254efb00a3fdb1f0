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
  // A vector is made of units of `lanes` lanes.
  int lanes = 1;
  int64_t unit_stride = 0;
  int64_t lane_stride = 0;
  int width = 0;       // floats of a register
  int valid = 0;       // lanes that exist, of all vectors but the last; others are packed as 0
  int last_valid = 0;  // and of the last
};

// to[(k - first_step) * vectors + v, width] for steps [first_step, first_step + steps) and vectors
// first_vector + v; `ends`: the last of them is the last of all.
void PackVectors(const LaneVectors& from, int64_t first_step, int64_t steps, int64_t first_vector,
                 int64_t vectors, bool ends, float* to);

// Rows of a for tiles of a number of rows, one tile after the other.
struct LaneRows {
  const float* a = nullptr;
  int64_t row = 0;   // between rows
  int64_t step = 0;  // between elements
  int lanes = 1;     // of an element
  int width = 1;     // that an element takes when packed: `lanes`, or more, which repeat them
  int height = 1;    // of a tile
};

// to[tile, k, height, width]; what is missing in the last tile becomes 0.
void PackRows(const LaneRows& from, int64_t rows, int64_t steps, float* to);

}  // namespace trainyard
