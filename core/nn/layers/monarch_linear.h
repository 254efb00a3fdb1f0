// Linear maps by Monarch matrices.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/nn/layers/linear_map.h"

namespace trainyard::nn {

// Sizes of the factors w1 [K, q, p] and w2 [L, s, r] (Dao et al., section 3, for layers that are
// not square).
struct MonarchSizes {
  int64_t first_blocks = 0;   // K
  int64_t second_blocks = 0;  // L
  int64_t in_block = 0;       // p
  int64_t first_out = 0;      // q
  int64_t out_block = 0;      // s
  int64_t second_in = 0;      // r

  // By the number of blocks: K = L = blocks, p = ceil(in / blocks), s = ceil(out / blocks),
  // q = r = min(p, s), which `pad_middle` rounds up to a multiple of `blocks`. Throws
  // INVALID_ARGUMENT where blocks < 1, or min(p, s) < blocks without padding: then some blocks of
  // the matrix would be zero.
  static MonarchSizes OfBlocks(int64_t in, int64_t out, int64_t blocks, bool pad_middle = false);
  // By the rank of every block of the matrix: q = rank * L, r = K * rank.
  static MonarchSizes OfRank(int64_t in, int64_t out, int64_t first_blocks, int64_t second_blocks,
                             int64_t rank);

  int64_t parameters() const {
    return first_blocks * first_out * in_block + second_blocks * out_block * second_in;
  }
};

struct MonarchLinearOptions : LinearMapOptions {
  // Both factors uniform in +-1 / sqrt(their last size), as published; `matched` multiplies them by
  // 3^(1/4), so that outputs vary as those of a dense layer.
  bool matched_start = true;
};

// act(x M' + b): NAME.first [K, q, p], NAME.second [L, s, r], NAME.bias [out].
class MonarchLinear final : public LinearMap {
 public:
  MonarchLinear(ParameterSet& parameters, std::string_view name, int64_t out,
                const MonarchSizes& sizes, const MonarchLinearOptions& options = {});

  Variable operator()(const Variable& x) const override;
  const Parameter& first() const { return first_; }
  const Parameter& second() const { return second_; }

 private:
  const int64_t out_;
  const Activation activation_;
  const Parameter& first_;
  const Parameter& second_;
  const Parameter* const bias_;
};

}  // namespace trainyard::nn
