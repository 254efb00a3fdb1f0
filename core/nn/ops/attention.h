// Attention.
#pragma once

#include <cstdint>

#include "core/nn/variable.h"

namespace trainyard::nn {

struct AttentionOptions {
  int heads = 1;
  // Of the scores; 0: 1 / sqrt(size of a head).
  double scale = 0;
  // Query i sees keys j <= i + m - n.
  bool causal = false;
  // int32 [batch, n] and [batch, m], or undefined: a query sees keys of its own segment only.
  Tensor query_segments;
  Tensor key_segments;
  // uint8 [batch, m] or undefined: keys that count. A query that sees no key gets 0.
  Tensor key_mask;
};

// softmax(scale * Q K' + mask) V per head, without the matrix of scores in memory: q [batch, n,
// heads * dh], k [batch, m, heads * dh], v [batch, m, heads * dv]; the result is [batch, n, heads *
// dv]. Parts of one tensor (Split) are taken without a copy.
Variable Attention(const Variable& q, const Variable& k, const Variable& v,
                   const AttentionOptions& options = {});

struct MixedChunkOptions {
  int64_t chunk = 256;
  bool causal = true;
  double scale_qk = 1;
  double scale_a = 1;
  bool global = true;
  bool mean_over_chunks = true;
  // int32 [batch, n] or undefined; -1 marks padding.
  Tensor segments;
  // Whether the backward pass computes the ungated result again instead of keeping it.
  bool recompute = false;
};

// What is attended to: all [batch, n, s]; lin_q and lin_k undefined without `global`.
struct MixedChunkHeads {
  Variable quad_q;
  Variable quad_k;
  Variable lin_q;
  Variable lin_k;
};

// Mixed chunk attention (Hua et al., "Transformer quality in linear time", ICML 2022, section 3.2;
// the equations stand with MixedChunkArguments): v and gate [batch, n, e], gate may be undefined,
// bias [chunk, chunk] or undefined. The result is [batch, n, e].
Variable MixedChunkAttention(const MixedChunkHeads& heads, const Variable& v, const Variable& gate,
                             const Variable& bias, const MixedChunkOptions& options = {});

}  // namespace trainyard::nn
