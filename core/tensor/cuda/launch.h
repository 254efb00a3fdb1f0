// How kernels are written and launched, on a GPU and on the interpreter.
//
// A kernel is a functor over plain values. It is called once for every thread of a grid, with a
// context that says which thread that is and that offers what threads of a block share:
//
//   template <typename T>
//   struct RowSum {
//     static constexpr const char* kName = "row_sum";
//     static constexpr int kThreads = 128;       // of a block: a multiple of 32
//     static constexpr bool kSynchronizes = true;  // uses barriers, shuffles or shared memory
//     const T* in; T* out; int64_t columns;
//     template <typename Context>
//     TRAINYARD_DEVICE void operator()(Context& context) const { … }
//   };
//   Launch(platform, Grid{rows}, kernel);
//
// Files with kernels (*.cu) are compiled twice: by nvcc, and by the C++ compiler for the
// interpreter. They include nothing that is slow to parse. Contexts offer (device_context.h,
// interpreter/host_context.h):
//
//   thread(), block(), block_y(), block_z(), blocks(), blocks_y()
//   AtomicAdd(int32_t* address, int32_t value): integers only, as sums of floats must not depend
//     on the order
// and, with kSynchronizes:
//   Sync(), SyncWarp(mask)
//   Shuffle(value, lane), ShuffleXor(value, mask), ShuffleDown(value, distance)
//   WarpReduce(value, function): of all 32 lanes, in the order of a butterfly, for all lanes
//   Shared<T>(count): the next `count` elements of the block's dynamic shared memory
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/tensor/kernels/portable.h"

// Before a loop whose body indexes arrays that must stay in registers.
#ifdef __CUDACC__
#define TRAINYARD_UNROLL _Pragma("unroll")
#else
#define TRAINYARD_UNROLL
#endif

namespace trainyard::cuda {

class Platform;

inline constexpr int kWarp = 32;

// Blocks of a launch. y and z at most 65535.
struct Grid {
  int64_t x = 1;
  int64_t y = 1;
  int64_t z = 1;
};

// Blocks that loop over what is left when there is more work than this.
inline constexpr int64_t kMostBlocks = 4096;

// Blocks for a loop over `count` items of which one block takes `each` at a time.
constexpr int64_t BlocksFor(int64_t count, int64_t each) {
  const int64_t blocks = (count + each - 1) / each;
  return blocks < 1 ? 1 : blocks < kMostBlocks ? blocks : kMostBlocks;
}

TRAINYARD_PORTABLE constexpr int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace trainyard::cuda

#ifdef __CUDACC__
#include "core/tensor/cuda/device_context.h"
#else
#include "core/tensor/cuda/interpreter/host_launch.h"
#endif
