// What operations share. For core/nn/ops alone.
#pragma once

#include <cstdint>

#include "core/nn/recorder.h"
#include "core/nn/variable.h"
#include "core/tensor/tensor.h"

namespace trainyard::nn {

// Throws unless `x` is a tensor of float32 or float64.
void ExpectFloating(const char* operation, const Variable& x);
// Throws unless both are floating, of one type on one device.
void ExpectSameFloating(const char* operation, const Variable& a, const Variable& b);
// Throws unless `x` is floating and has at least `rank` dimensions.
void ExpectRankAtLeast(const char* operation, const Variable& x, int rank);

// Throws unless `indices` are int32, `count` many and, where the host can see them, in
// -1 … bound - 1. `name` is what one of them is called.
void ExpectIndices(const char* operation, const char* name, const Tensor& indices, int64_t count,
                   int64_t bound);

// All dimensions but the last as one: [n, d]. The rows are contiguous.
Tensor AsRows(const Tensor& x);
// Undefined for an undefined one.
Tensor AsRowsOrNone(const Tensor& x);
// As AsRows, but a view wherever rows lie at a constant distance: the last stride is 1.
Tensor AsStridedRows(const Tensor& x);
// A tensor whose last stride is 1: itself or a contiguous copy.
Tensor WithUnitLastStride(const Tensor& x);

// Adds `gradient`, whose shape the input was broadcast to, to the input's gradient: the sum over
// the repeated elements.
void AddUnbroadcast(BackwardContext& context, int input, const Shape& shape,
                    const Tensor& gradient);

// `x` with dimensions of size 1 in front, up to `rank`.
Tensor WithLeadingOnes(const Tensor& x, int rank);

}  // namespace trainyard::nn
