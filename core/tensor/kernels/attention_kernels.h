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
  // int32 [batch, n] and [batch, m], or both undefined: a query sees keys of its own segment only.
  Tensor query_segments;
  Tensor key_segments;
  // uint8 [batch, m] or undefined: keys that count. A query that sees no key gets 0, with a
  // logsumexp of minus infinity, and gives no gradient.
  Tensor key_mask;
};

struct AttentionGradients {
  Tensor dout;  // as `out`
  Tensor dq;    // as q, k, v; overwritten
  Tensor dk;
  Tensor dv;
};

// Mixed chunk attention (Hua et al., "Transformer quality in linear time", ICML 2022, section 3.2),
// softmax-free, of chunks of C rows, the last one possibly shorter. With N(g) the number of real
// rows (not padding) in the chunks that chunk g sees:
//   local   A = relu(scale_qk * (Qq Kq') + b)^2 * scale_a, masked;   Vq = A V   within the chunk
//   global  R_g = sum of Kl' V over the real rows of the chunks that g sees
//           M_g = R_g / N(g), or R_g / C without mean_over_chunks; 0 where g sees none
//           Vl = Ql M
//   out = gate * (Vq + Vl)
// Causal: row i sees local keys j <= i, chunk g sees chunks h < g (its own only by the local part).
// Else: all rows of the chunk, and all chunks, its own too. Where C divides n and nothing is padded
// this is the paper's mean over chunks of S_h = Kl' V / C. Attention dropout is not applied: the
// weights never exist as a whole, and the paper trains without; drop `out` or v instead.
struct MixedChunkArguments {
  // [batch, n, s], last stride 1: views of one tensor of heads are fine. lin_q and lin_k may be
  // undefined without `global`.
  Tensor quad_q;
  Tensor quad_k;
  Tensor lin_q;
  Tensor lin_k;
  Tensor v;     // [batch, n, e], last stride 1
  Tensor gate;  // [batch, n, e], last stride 1, or undefined (1)
  Tensor out;   // [batch, n, e], contiguous; not read by the backward pass
  // b: [chunk, chunk], contiguous, by the rows' places in the chunk, or undefined (0).
  Tensor bias;
  int64_t chunk = 256;  // C >= 1; may exceed n
  bool causal = true;
  // Paper: 1/C inside the square and 1 outside. "outer": 1/sqrt(s) inside and 1/C outside.
  double scale_qk = 1;
  double scale_a = 1;
  // Without it only the local part: FLASH-Quad with chunk >= n.
  bool global = true;
  // Whether R is divided by N(g); false: by C.
  bool mean_over_chunks = true;
  // int32 [batch, n] or undefined: local weights only within a segment; chunk g sees chunk h only
  // if the ranges of the segments of their real rows overlap. -1 marks padding: such rows are
  // neither keys nor values (but must be finite), and their outputs and gradients are 0. Segments
  // that do not decrease along a sequence cost nothing; in other orders states are summed again.
  Tensor segments;
  // [batch, n, e], contiguous: Vq + Vl, kept for the backward pass of the gate; undefined: the
  // backward pass computes it again.
  Tensor ungated;
};

struct MixedChunkGradients {
  Tensor dout;     // [batch, n, e], contiguous
  Tensor dquad_q;  // overwritten; last stride 1
  Tensor dquad_k;
  Tensor dlin_q;  // may be undefined without `global`, else 0 there
  Tensor dlin_k;
  Tensor dv;
  Tensor dgate;  // undefined without a gate
  Tensor dbias;  // [chunk, chunk], contiguous, added to; undefined: not wanted
};

// Memory beyond the arguments grows with n (and the number of threads), never with its square.
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
