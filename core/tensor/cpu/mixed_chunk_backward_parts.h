// The parts of the gradient of mixed chunk attention.
//
// With dO = dOut * gate, P the local scores before the rectifier and A = relu(P)^2:
//   local   dA = dO V';  dP = dA * 2 scale_a relu(P);  dQq = scale_qk dP Kq;  dKq = scale_qk dP'
//   Qq;
//           dV = scale_a A' dO;  db = sum of dP over chunks and sequences
//   global  dQl = dO M';  dM = weight Ql' dO, summed over the chunks that see a chunk: D;
//           dKl = V D';  dV += Kl D
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/tensor/cpu/mixed_chunk_parts.h"

namespace trainyard::cpu_attention {

template <typename T>
struct MixedChunkGradientViews {
  MixedChunkGradientViews(const MixedChunkViews<T>& views, const MixedChunkGradients& g)
      : dout(g.dout),
        dquad_q(g.dquad_q),
        dquad_k(g.dquad_k),
        dlin_q(g.dlin_q),
        dlin_k(g.dlin_k),
        dv(g.dv),
        dgate(g.dgate),
        dbias(g.dbias.defined() ? g.dbias.data<T>() : nullptr),
        dungated_memory(views.gate.defined()
                            ? Tensor::Empty(g.dout.device(), g.dout.shape(), g.dout.dtype())
                            : g.dout),
        dungated(dungated_memory) {}

  const Rows<T> dout;
  const Rows<T> dquad_q;
  const Rows<T> dquad_k;
  const Rows<T> dlin_q;
  const Rows<T> dlin_k;
  const Rows<T> dv;
  const Rows<T> dgate;
  T* const dbias;
  const Tensor dungated_memory;
  const Rows<T> dungated;  // dO; dout itself without a gate
};

// dungated = dout * gate and dgate = dout * ungated for some columns of a chunk's rows. Without
// `ungated`, dgate holds it. Does nothing without a gate.
template <typename T>
void DifferentiateGate(const MixedChunkViews<T>& views, const MixedChunkGradientViews<T>& gradients,
                       int64_t batch, int64_t chunk, int64_t column, int64_t width);

// dQq, dKq and db; overwrites dV with the local part.
//
// Chunks of up to two squares are one task each; they are dealt to a fixed number of sums of db, in
// the order of their visits. Larger chunks come one after the other; their keys are dealt to
// several tasks, each with a dQq of its own.
template <typename T>
class LocalBackward {
 public:
  LocalBackward(const MixedChunkViews<T>& views, const MixedChunkGradientViews<T>& gradients,
                int threads);
  void Run(ThreadPool& threads, const ChunkWindow& window);
  // After the last window.
  void AddBias(ThreadPool& threads) const;

 private:
  struct Part {
    int64_t index = 0;
    int64_t count = 1;  // keys are dealt in squares to so many
    Rows<T> dquad_q;
    int64_t first_row = 0;  // of the sequence, in dquad_q
    T* dbias = nullptr;
    int64_t dbias_stride = 0;
    T* scratch = nullptr;
  };

  int64_t ScratchOfThread() const { return 2 * kSideOfSquare * kSideOfSquare; }
  void RunSmallChunks(ThreadPool& threads, const ChunkWindow& window);
  void RunLargeChunk(ThreadPool& threads, int64_t batch, int64_t chunk) const;
  void AddQueriesOfParts(ThreadPool& threads, int64_t batch, int64_t chunk) const;
  void RunPart(int64_t batch, int64_t chunk, const Part& part) const;
  void RunSquare(const ChunkTile& square, const Part& part, bool first) const;
  void AddToQueries(const ChunkTile& band, const Part& part, const T* dscores) const;
  void AddToKeys(const ChunkTile& square, const Part& part, bool first) const;

  const MixedChunkViews<T>& views_;
  const MixedChunkGradientViews<T>& gradients_;
  const ChunkScores<T> scores_;
  const int64_t squares_;  // along a side of a chunk
  const int64_t parts_;    // of a large chunk
  const int64_t sums_;     // of db for small chunks
  const Tensor scratch_;
  Tensor partial_queries_;  // [parts - 1, chunk, s]
  Tensor partial_bias_;     // [sums, chunk, chunk]
  int64_t visited_ = 0;     // small chunks so far
};

// dQl, dKl, the global part of dV, and what belongs to the gate.
template <typename T>
class GlobalBackward {
 public:
  GlobalBackward(const MixedChunkViews<T>& views, const MixedChunkGradientViews<T>& gradients,
                 int threads);
  // dQl, dgate and dungated; from the first chunk to the last. Without views.ungated, dgate holds
  // the local part of the output.
  void RunQueries(ThreadPool& threads, const ChunkWindow& window) const;
  // After RunQueries for all: dKl, and what is added to LocalBackward's dV; from the last chunk to
  // the first.
  void RunKeys(ThreadPool& threads, const ChunkWindow& window) const;
  // After the last RunQueries or RunKeys: dQl or dKl of all column blocks become one.
  void AddParts(ThreadPool& threads, const Rows<T>& whole) const;

 private:
  // function(batch, first column, index of the column block) for all of the window.
  template <typename Function>
  void ForEachTask(ThreadPool& threads, const ChunkWindow& window, Function&& function) const;
  Rows<T> Target(const Rows<T>& whole, int64_t block) const;
  const ScanPlan& PlanOf(int64_t batch) const {
    return plans_[plans_.size() == 1 ? 0 : static_cast<size_t>(batch)];
  }
  void QueriesOfChunk(int64_t batch, int64_t chunk, int64_t column, const Rows<T>& target) const;
  void KeysOfChunk(int64_t batch, int64_t chunk, int64_t column, const Rows<T>& target) const;
  void AddGradientOfStates(int64_t batch, int64_t chunk, int64_t column) const;

  const MixedChunkViews<T>& views_;
  const MixedChunkGradientViews<T>& gradients_;
  const StateSums<T> sums_;
  const std::vector<ScanPlan> plans_;  // backward
  std::vector<Tensor> partial_;        // dQl and then dKl of all column blocks but the first
};

}  // namespace trainyard::cpu_attention
