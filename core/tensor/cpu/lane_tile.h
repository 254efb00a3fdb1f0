// The innermost loop of products of lanes: a tile of c that stays in registers, one build for each
// instruction set.
#pragma once

#include <cstdint>

namespace trainyard {

// How many lanes of an element of a are loaded to fill a register, which they do once or several
// times.
enum class LaneLoad : uint8_t { kOne, kTwo, kFour, kEight, kSixteen };

inline constexpr int kLaneLoads = 5;
inline constexpr int kMostVectors = 4;

struct LaneTile {
  int64_t k = 0;
  const float* a = nullptr;
  int64_t a_row = 0;
  int64_t a_step = 0;
  const float* next_a = nullptr;  // rows as wide as k that will be needed soon, or null
  const float* b = nullptr;       // [k, vectors, width]
  float* c = nullptr;
  int64_t c_row = 0;
  int64_t c_vector = 0;         // between vectors
  const float* bias = nullptr;  // likewise
  int rows = 0;                 // that are stored; a has the tile's full number
  int valid = 0;                // lanes that are stored, of all vectors but the last
  int last_valid = 0;           // and of the last
  bool accumulate = false;
};

struct LaneFunctions {
  using Function = void (*)(const LaneTile& tile);
  int width = 0;         // floats of a register
  int most_vectors = 0;  // of a tile
  // Of tiles made for v + 1 vectors: their rows, and the functions for u + 1 <= v + 1 vectors.
  int rows[kMostVectors] = {};
  // Loads of more than a register are missing.
  Function tile[kLaneLoads][kMostVectors][kMostVectors] = {};
};

LaneFunctions Avx2LaneFunctions();    // lane_tile_avx2.cc
LaneFunctions Avx512LaneFunctions();  // lane_tile_avx512.cc

// Of the fastest instruction set that this processor has.
const LaneFunctions& FastestLaneFunctions();

}  // namespace trainyard
