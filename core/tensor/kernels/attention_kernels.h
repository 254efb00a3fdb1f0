// Attention.
#pragma once

#include <cstdint>

#include "core/tensor/tensor.h"

namespace trainyard {

// softmax(scale * Q K' + mask) V without the n x m matrix in memory.
struct AttentionArguments {
  // [batch, heads, n, dh], [batch, heads, m, dh], [batch, heads, m, dv]: any strides but 1 for the
  // last, so that views of [batch, n, heads * dh] need no copy.
  Tensor q;
  Tensor k;
  Tensor v;
  Tensor out;        // [batch, heads, n, dv], likewise
  Tensor logsumexp;  // [batch, heads, n], contiguous, for the backward pass; or undefined
  double scale = 1;
  // Query i sees keys j <= i + m - n.
  bool causal = false;
  // int32 [batch, n] and [batch, m], or undefined: a query sees keys of its own segment only.
  Tensor query_segments;
  Tensor key_segments;
  // uint8 [batch, m] or undefined: keys that count. A query that sees no key gets 0.
  Tensor key_mask;
};

struct AttentionGradients {
  Tensor dout;  // as `out`
  Tensor dq;    // as q, k, v; overwritten
  Tensor dk;
  Tensor dv;
};

// Mixed chunk attention (Hua et al., section 3.2), softmax-free, of chunks of C rows:
//   local   A = relu(scale_qk * (Qq Kq') + b)^2 * scale_a, masked;   Vq = A V   within the chunk
//   global  S_g = Kl' V / C; M_g = mean over the chunks before (causal) or over all (else) of S;
//           Vl = Ql M_g
//   out = gate * (Vq + Vl)
struct MixedChunkArguments {
  // [batch, n, s], last stride 1: views of one tensor of heads are fine.
  Tensor quad_q;
  Tensor quad_k;
  Tensor lin_q;
  Tensor lin_k;
  Tensor v;     // [batch, n, e], last stride 1
  Tensor gate;  // [batch, n, e] or undefined (1)
  Tensor out;   // [batch, n, e], contiguous
  // b: [chunk, chunk], contiguous, or undefined (0).
  Tensor bias;
  int64_t chunk = 256;
  bool causal = true;
  // Paper: 1/C inside the square and 1 outside. "outer": 1/sqrt(s) inside and 1/C outside.
  double scale_qk = 1;
  double scale_a = 1;
  // Without it only the local part: FLASH-Quad with chunk >= n.
  bool global = true;
  // The sum over chunks is divided by their number; false: only by C.
  bool mean_over_chunks = true;
  // int32 [batch, n] or undefined: local weights only within a segment; chunk g sees chunk h only
  // if the ranges of their segments overlap. -1 marks padding: such rows are neither keys nor
  // values, and their outputs are 0.
  Tensor segments;
  // [batch, n, e], contiguous: Vq + Vl, kept for the backward pass of the gate; undefined: the
  // backward pass computes it again.
  Tensor ungated;
};

struct MixedChunkGradients {
  Tensor dout;     // [batch, n, e], contiguous
  Tensor dquad_q;  // overwritten; last stride 1
  Tensor dquad_k;
  Tensor dlin_q;
  Tensor dlin_k;
  Tensor dv;
  Tensor dgate;  // undefined without a gate
  Tensor dbias;  // [chunk, chunk], added to; undefined without a bias
};

class AttentionKernels {
 public:
  virtual ~AttentionKernels() = default;
  virtual void Attend(const AttentionArguments& arguments) = 0;
  // `forward` with its out and logsumexp filled in.
  virtual void AttendBackward(const AttentionArguments& forward,
                              const AttentionGradients& gradients) = 0;
  virtual void MixedChunk(const MixedChunkArguments& arguments) = 0;
  virtual void MixedChunkBackward(const MixedChunkArguments& forward,
                                  const MixedChunkGradients& gradients) = 0;
};

}  // namespace trainyard
