// Mixed chunk attention one token at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/tensor.h"

namespace trainyard {

struct MixedChunkDecoderOptions {
  int64_t sequences = 1;
  int64_t s = 0;
  int64_t e = 0;
  DType type = DType::kFloat32;
  // The rest as in MixedChunkArguments, which are causal here and without segments.
  int64_t chunk = 256;
  double scale_qk = 1;
  double scale_a = 1;
  bool global = true;
  bool mean_over_chunks = true;
  Tensor bias;
};

// The next token of each sequence.
struct MixedChunkToken {
  // [sequences, s], last stride 1; lin_q and lin_k undefined without `global`.
  Tensor quad_q;
  Tensor quad_k;
  Tensor lin_q;
  Tensor lin_k;
  Tensor v;     // [sequences, e], last stride 1
  Tensor gate;  // likewise, or undefined (1)
  Tensor out;   // likewise
  // uint8 [sequences] or undefined: sequences with 0 stay as they are; their rows are not read and
  // not written.
  Tensor active;
};

// What a layer keeps of its sequences, which may be of different lengths: the sum of the states
// Kl' V of closed chunks (s x e) and the rows of Kq, Kl and V in the open one. Its size does not
// depend on the length, nor, within a chunk's period, does the time of a token: C (s + e) / 2 + s e
// multiplications on average. The state of a chunk is one matrix product when it closes, rather
// than one update of s x e numbers a token. Results equal those of AttentionKernels::MixedChunk to
// rounding. Used by one thread at a time. Throws TensorError INVALID_ARGUMENT for shapes that do
// not fit.
class MixedChunkDecoder {
 public:
  MixedChunkDecoder(CpuDevice& device, const MixedChunkDecoderOptions& options);

  // How many tokens the sequence has.
  int64_t length(int64_t sequence) const { return lengths_[static_cast<size_t>(sequence)]; }
  // The sequence is empty again.
  void Reset(int64_t sequence) { lengths_[static_cast<size_t>(sequence)] = 0; }
  // Takes tokens whose outputs come from elsewhere, as those of a prompt from the parallel form:
  // quad_k and lin_k [n, s], v [n, e], last stride 1. lin_k undefined without `global`.
  void Append(int64_t sequence, const Tensor& quad_k, const Tensor& lin_k, const Tensor& v);
  // Appends a token to each active sequence and computes its output.
  void Step(const MixedChunkToken& token);
  // Of all sequences.
  size_t StateBytes() const;

 private:
  template <typename T>
  struct Sequence;

  template <typename T>
  Sequence<T> StateOf(int64_t sequence) const;
  template <typename T>
  void AppendRows(int64_t sequence, const Tensor& quad_k, const Tensor& lin_k, const Tensor& v);
  template <typename T>
  void StepSequence(const MixedChunkToken& token, int64_t sequence, T* weights);
  template <typename T>
  void AddRow(int64_t sequence, const T* quad_k, const T* lin_k, const T* v);
  void CheckToken(const MixedChunkToken& token) const;

  CpuDevice& device_;
  MixedChunkDecoderOptions options_;
  std::vector<int64_t> lengths_;
  Tensor sums_;     // [sequences, s, e]: over closed chunks
  Tensor quad_k_;   // [sequences, chunk, s]: of the open chunk
  Tensor lin_k_;    // likewise
  Tensor v_;        // [sequences, chunk, e]
  Tensor weights_;  // [threads, max(chunk, s)]
};

}  // namespace trainyard
