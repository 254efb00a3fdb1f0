// Threads that work on one row together. For kernels (*.cu).
#pragma once

#include <cstdint>

#include "core/tensor/cuda/launch.h"

namespace trainyard::cuda {

struct Plus {
  template <typename T>
  TRAINYARD_DEVICE T operator()(T a, T b) const {
    return a + b;
  }
};
struct Larger {
  template <typename T>
  TRAINYARD_DEVICE T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};
struct Smaller {
  template <typename T>
  TRAINYARD_DEVICE T operator()(T a, T b) const {
    return b < a ? b : a;
  }
};

// Blocks of row kernels: of 8 warps, each with a row of its own, or all with one long row.
inline constexpr int kRowThreads = 256;
inline constexpr int kRowWarps = kRowThreads / kWarp;
// Rows up to this length are left to one warp.
inline constexpr int64_t kLongestWarpRow = 1024;
inline constexpr size_t kRowSharedBytes = kRowWarps * sizeof(double);

TRAINYARD_PORTABLE constexpr bool IsWarpRow(int64_t length) { return length <= kLongestWarpRow; }
constexpr int64_t BlocksForRows(int64_t rows, int64_t length) {
  return IsWarpRow(length) ? CeilDivide(rows, kRowWarps) : rows;
}

// One thread's part of a row: elements first(), first() + step(), …
template <typename Context>
class RowThreads {
 public:
  // Takes kRowSharedBytes of shared memory. All threads of the block construct it.
  TRAINYARD_DEVICE RowThreads(Context& context, int64_t length)
      : context_(context),
        scratch_(context.template Shared<double>(kRowWarps)),
        warp_row_(IsWarpRow(length)) {}

  TRAINYARD_DEVICE int64_t row() const {
    return warp_row_ ? context_.block() * kRowWarps + context_.thread() / kWarp : context_.block();
  }
  TRAINYARD_DEVICE int first() const {
    return warp_row_ ? context_.thread() % kWarp : context_.thread();
  }
  TRAINYARD_DEVICE int step() const { return warp_row_ ? kWarp : kRowThreads; }

  // Of the values of all threads of the row, for all of them; all of them call it.
  template <typename Function>
  TRAINYARD_DEVICE double Reduce(double value, Function function) {
    value = context_.WarpReduce(value, function);
    if (warp_row_) return value;
    if (context_.thread() % kWarp == 0) scratch_[context_.thread() / kWarp] = value;
    context_.Sync();
    value = scratch_[0];
    for (int i = 1; i < kRowWarps; ++i) value = function(value, scratch_[i]);
    context_.Sync();
    return value;
  }

 private:
  Context& context_;
  decltype(context_.template Shared<double>(0)) scratch_;
  const bool warp_row_;
};

}  // namespace trainyard::cuda
