// Multi-head attention.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "core/nn/layers/linear_map.h"
#include "core/nn/ops/attention.h"
#include "core/nn/ops/positions.h"
#include "core/nn/random_source.h"

namespace trainyard::nn {

struct MultiHeadAttentionOptions {
  int heads = 1;  // divides the width
  bool causal = false;
  bool bias = true;
  bool rotary = false;
  double rotary_base = 10000;
  RotaryPairing rotary_pairing = RotaryPairing::kHalves;
  // Makes the maps of queries, keys, values and outputs one by one. Without it queries, keys and
  // values of one input come from one dense product.
  LinearMapFactory maps;
};

// Which keys a query sees, beside `causal`; see AttentionOptions.
struct AttentionMasks {
  Tensor query_segments;
  Tensor key_segments;
  Tensor key_mask;
};

// Self-attention: [batch, n, width] to the same. Parameters: NAME.qkv (columns: queries, keys,
// values) or NAME.q, .k, .v; and NAME.out.
class MultiHeadAttention {
 public:
  MultiHeadAttention(ParameterSet& parameters, std::string_view name, int64_t width,
                     const MultiHeadAttentionOptions& options);

  Variable operator()(const Variable& x, const AttentionMasks& masks = {}) const;

 private:
  const int64_t width_;
  const MultiHeadAttentionOptions options_;
  std::unique_ptr<LinearMap> qkv_;  // or the next three
  std::unique_ptr<LinearMap> q_;
  std::unique_ptr<LinearMap> k_;
  std::unique_ptr<LinearMap> v_;
  std::unique_ptr<LinearMap> out_;
};

}  // namespace trainyard::nn
