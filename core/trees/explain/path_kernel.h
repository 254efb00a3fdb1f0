// The inner loop of path-dependent TreeSHAP: one tree, kShapLanes rows side by side.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/trees/explain/path_plan.h"

namespace trainyard {

// A plan as bare arrays: the kernel is compiled for machines that the rest of the program may not
// run on, so nothing that the linker could share may be compiled with it.
struct PathKernelArgs {
  const PathNode* nodes;
  const PathOperation* operations;
  int64_t operation_count;
  const double* weights;
  const double* factors;
  const double* leaf_values;
  const uint64_t* level_words;
  int points;
  int levels;
  int outputs;            // values per leaf
  const double* rows;     // [column][lane]
  double* contributions;  // [column][output of the ensemble][lane], added to
  int64_t column_stride;  // between columns of `contributions`
  int64_t first_output;   // offset of the tree's first output, in numbers
  double* scratch;        // PathScratchSize numbers, aligned to 64 bytes
};

// Numbers of scratch that a plan needs.
inline size_t PathScratchSize(int levels, int points, int outputs) {
  const size_t l = static_cast<size_t>(levels) + 1;
  const size_t g = static_cast<size_t>(points);
  return static_cast<size_t>(kShapLanes) *
         (l * g + 2 * l * g * static_cast<size_t>(outputs) + 3 * l);
}

using PathKernel = void (*)(const PathKernelArgs& args);

// For x86-64-v3 and x86-64-v4. They give the same numbers up to rounding.
void RunPathKernelV3(const PathKernelArgs& args);
void RunPathKernelV4(const PathKernelArgs& args);

// The widest that this machine runs.
PathKernel BestPathKernel();

}  // namespace trainyard
