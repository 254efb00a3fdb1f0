// Products of rows with sixteen gates at a time, in double precision.
#pragma once

#include <cstdint>

#include "core/algorithms/convex_relu/subset_sums.h"

namespace trainyard::convex_relu {

inline constexpr int kGateGroup = 16;

// Sixteen gates, of which coordinates that are zero in all of them may be left out.
struct GateGroup {
  const double* coordinates;  // [count][kGateGroup], aligned to 64 bytes
  const int* columns;         // the column of the data for each, ascending
  int count;
};

// values[row][g] = x_row^T g for `row_count` rows that lie `stride` numbers apart; `values` is
// aligned to 64 bytes. Coordinates are added in order, each by a fused multiplication and addition,
// so that the result is the same bits for every instruction set.
using GateValueFunction = void (*)(const GateGroup& gates, const double* rows, int64_t stride,
                                   int64_t row_count, double* values);

GateValueFunction GateValues(InstructionSet set);

}  // namespace trainyard::convex_relu
