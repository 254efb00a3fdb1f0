// The six products of a Monarch layer as products of lanes.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor/cpu/lane_product.h"
#include "core/tensor/kernels/structured_kernels.h"

namespace trainyard {

// The sizes of structured_kernels.h.
struct MonarchSizes {
  explicit MonarchSizes(const MonarchArguments& arguments);

  int64_t rows;
  int64_t in;
  int64_t out;
  int64_t first_blocks;  // K
  int64_t q;
  int64_t p;
  int64_t second_blocks;  // L
  int64_t s;
  int64_t r;
  int64_t middle() const { return first_blocks * q; }
  // The columns of x that block `k` of w1 has: fewer than p at the end.
  int64_t InputsOf(int64_t k) const;
  // Rows u of w2 that are used: those with columns u * L + l < out.
  int64_t used_s() const { return (out + second_blocks - 1) / second_blocks; }
};

// Products for all rows, cut into parts that threads take. The middle h is row-major.
using LaneParts = std::vector<LaneProduct>;

LaneParts FirstStage(const MonarchSizes& sizes, const float* x, const float* w1, float* h);
LaneParts SecondStage(const MonarchSizes& sizes, const float* h, const float* w2, const float* bias,
                      float* y);
// dy has rows of used_s() * L values, those beyond `out` being 0.
LaneParts MiddleGradient(const MonarchSizes& sizes, const float* dy, const float* w2, float* dh);
LaneParts InputGradient(const MonarchSizes& sizes, const float* dh, const float* w1, float* dx,
                        bool accumulate);
// Added to dw1.
LaneParts FirstWeightGradient(const MonarchSizes& sizes, const float* x, const float* dh,
                              float* dw1);
// to[u, t * L + l] is the gradient of w2[l, u, t].
LaneParts SecondWeightGradient(const MonarchSizes& sizes, const float* h, const float* dy,
                               float* to);

}  // namespace trainyard
