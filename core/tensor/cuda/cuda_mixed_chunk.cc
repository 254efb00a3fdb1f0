// Mixed chunk attention as batches of matrix products, which run on tensor cores, with kernels for
// what lies between them. Scores of a strip of rows of all chunks are kept at once.
#include "core/tensor/cuda/cuda_mixed_chunk.h"

#include <algorithm>
#include <vector>

#include "core/tensor/cuda/layouts.h"
#include "core/tensor/cuda/mixed_chunk.h"
#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/kernels/matmul_kernels.h"
#include "core/tensor/kernels/reduction_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

// Chunks of equal length: all whole ones, or the shorter one at the end.
struct Part {
  int64_t first_chunk = 0;
  int64_t chunks = 0;
  int64_t rows = 0;  // of each
};

// Rows of each chunk of a part that are treated together, with the keys they may see.
struct Strip {
  int64_t first = 0;
  int64_t rows = 0;
  int64_t keys = 0;
};

// High enough for products to be efficient; chunks of usual length are one strip.
constexpr int64_t kRowsOfStrip = 256;

class MixedChunkPass {
 public:
  MixedChunkPass(CudaDevice& device, const MixedChunkArguments& arguments)
      : device_(device),
        a_(arguments),
        batch_(arguments.v.size(0)),
        rows_(arguments.v.size(1)),
        chunk_(std::min(arguments.chunk, arguments.v.size(1))) {
    const int64_t whole = rows_ / chunk_;
    parts_.push_back({0, whole, chunk_});
    if (rows_ > whole * chunk_) parts_.push_back({whole, 1, rows_ - whole * chunk_});
    chunks_ = whole + (rows_ > whole * chunk_ ? 1 : 0);
    if (a_.segments.defined()) {
      segments_ = {a_.segments.data<int32_t>(), a_.segments.stride(0), a_.segments.stride(1)};
    }
    if (a_.global) PrepareGlobal();
  }

  // target = Vq + Vl.
  void Forward(const Tensor& target) {
    for (const Part& part : parts_) {
      for (const Strip& strip : StripsOf(part)) {
        const Tensor scores = Scores(part, strip);
        Weigh(part, strip, scores, Tensor());
        Multiply(scores, KeysOf(a_.v, part, strip), RowsOf(target, part, strip));
      }
    }
    if (a_.global) {
      const Tensor sums = SumStates(false, States(lin_k_, a_.v));
      for (const Part& part : parts_) {
        Multiply(ChunksOf(a_.lin_q, part), StatesOf(sums, part), ChunksOf(target, part), 1, true);
      }
    }
    ClearPadding(target);
  }

  // The gradients of the heads and values, of that of Vq + Vl.
  void Backward(const Tensor& dungated, const MixedChunkGradients& gradients) {
    for (const Part& part : parts_) {
      for (const Strip& strip : StripsOf(part)) LocalBackward(part, strip, dungated, gradients);
    }
    if (a_.global) {
      GlobalBackward(dungated, gradients);
    } else {
      if (gradients.dlin_q.defined()) gradients.dlin_q.Fill(0);
      if (gradients.dlin_k.defined()) gradients.dlin_k.Fill(0);
    }
  }

  void ClearPadding(const Tensor& rows) {
    if (!a_.segments.defined()) return;
    const PaddingArguments padding{.batch = batch_,
                                   .rows = rows_,
                                   .columns = rows.size(2),
                                   .segments = segments_,
                                   .data = rows.raw_data(),
                                   .batch_stride = rows.stride(0),
                                   .row_stride = rows.stride(1)};
    Dispatch([&]<typename T>() { LaunchClearPadding<T>(device_.platform(), padding); });
  }

 private:
  template <typename Function>
  void Dispatch(Function&& function) {
    DispatchFloating(a_.v.dtype(), "mixed chunk", function);
  }

  void PrepareGlobal() {
    ranges_ = Tensor::Empty(device_, {batch_, chunks_, 3}, DType::kInt32);
    weights_ = Tensor::Empty(device_, {batch_, chunks_}, DType::kFloat64);
    plan_ = {.batch = batch_,
             .rows = rows_,
             .chunk = chunk_,
             .chunks = chunks_,
             .causal = a_.causal,
             .divisor = a_.mean_over_chunks ? 0 : a_.chunk,
             .segments = segments_,
             .ranges = ranges_.data<int32_t>(),
             .weights = weights_.data<double>()};
    LaunchChunkPlan(device_.platform(), plan_);
    lin_k_ = a_.lin_k;
    if (!a_.segments.defined()) return;
    // Padding is no key.
    lin_k_ = a_.lin_k.Clone();
    ClearPadding(lin_k_);
  }

  // [batch, n, width] as [batch, chunks, rows, width] for the chunks of a part.
  Tensor ChunksOf(const Tensor& rows, const Part& part) const {
    return rows.Slice(1, part.first_chunk * chunk_, part.chunks * part.rows)
        .View({batch_, part.chunks, part.rows, rows.size(2)});
  }
  static Tensor StatesOf(const Tensor& states, const Part& part) {
    return states.Slice(1, part.first_chunk, part.chunks);
  }
  // From the last on: it sees all keys.
  std::vector<Strip> StripsOf(const Part& part) const {
    std::vector<Strip> strips;
    const int64_t count = (part.rows + kRowsOfStrip - 1) / kRowsOfStrip;
    for (int64_t i = count - 1; i >= 0; --i) {
      const int64_t first = i * kRowsOfStrip;
      const int64_t rows = std::min(kRowsOfStrip, part.rows - first);
      strips.push_back({first, rows, a_.causal ? first + rows : part.rows});
    }
    return strips;
  }
  Tensor RowsOf(const Tensor& tensor, const Part& part, const Strip& strip) const {
    return ChunksOf(tensor, part).Slice(2, strip.first, strip.rows);
  }
  Tensor KeysOf(const Tensor& tensor, const Part& part, const Strip& strip) const {
    return ChunksOf(tensor, part).Slice(2, 0, strip.keys);
  }
  Tensor NewScores(const Part& part, const Strip& strip) const {
    return Tensor::Empty(device_, {batch_, part.chunks, strip.rows, strip.keys}, a_.v.dtype());
  }

  void Multiply(const Tensor& a, const Tensor& b, const Tensor& out, double alpha = 1,
                bool accumulate = false) {
    device_.matmul().Matmul({.a = a, .b = b, .out = out, .alpha = alpha, .accumulate = accumulate});
  }

  Tensor Scores(const Part& part, const Strip& strip) {
    const Tensor scores = NewScores(part, strip);
    Multiply(RowsOf(a_.quad_q, part, strip), KeysOf(a_.quad_k, part, strip).Transposed(), scores,
             a_.scale_qk);
    return scores;
  }

  // Scores become weights; their gradients, unless undefined, those of scores.
  void Weigh(const Part& part, const Strip& strip, const Tensor& scores, const Tensor& gradients) {
    const Tensor bias = a_.bias.defined() ? a_.bias.Slice(0, strip.first, strip.rows) : Tensor();
    const LocalArguments local{.batch = batch_,
                               .chunks = part.chunks,
                               .rows = strip.rows,
                               .keys = strip.keys,
                               .start = part.first_chunk * chunk_,
                               .chunk_rows = chunk_,
                               .first_row = strip.first,
                               .causal = a_.causal,
                               .scale_a = a_.scale_a,
                               .bias = DataOf(bias),
                               .bias_stride = bias.defined() ? bias.stride(0) : 0,
                               .segments = segments_,
                               .scores = scores.raw_data()};
    Dispatch([&]<typename T>() {
      if (gradients.defined()) {
        LaunchLocalBackward<T>(device_.platform(), local, gradients.raw_data());
      } else {
        LaunchLocalWeights<T>(device_.platform(), local);
      }
    });
  }

  void LocalBackward(const Part& part, const Strip& strip, const Tensor& dungated,
                     const MixedChunkGradients& gradients) {
    const Tensor weights = Scores(part, strip);
    const Tensor dscores = NewScores(part, strip);
    const Tensor dout = RowsOf(dungated, part, strip);
    Multiply(dout, KeysOf(a_.v, part, strip).Transposed(), dscores);
    Weigh(part, strip, weights, dscores);
    // The last strip is the first to come.
    const bool accumulate = strip.first + strip.rows < part.rows;
    Multiply(weights.Transposed(), dout, KeysOf(gradients.dv, part, strip), 1, accumulate);
    Multiply(dscores, KeysOf(a_.quad_k, part, strip), RowsOf(gradients.dquad_q, part, strip),
             a_.scale_qk);
    Multiply(dscores.Transposed(), RowsOf(a_.quad_q, part, strip),
             KeysOf(gradients.dquad_k, part, strip), a_.scale_qk, accumulate);
    if (!gradients.dbias.defined()) return;
    const Tensor dbias =
        gradients.dbias.Slice(0, strip.first, strip.rows).Slice(1, 0, strip.keys).Unsqueezed(0);
    device_.reduction().Reduce(ReduceOp::kSum,
                               dscores.View({batch_ * part.chunks, strip.rows, strip.keys}), 1,
                               dbias, true);
  }

  // Of every chunk: left' right, [batch, chunks, s, e].
  Tensor States(const Tensor& left, const Tensor& right) {
    const Tensor states =
        Tensor::Empty(device_, {batch_, chunks_, left.size(2), right.size(2)}, right.dtype());
    for (const Part& part : parts_) {
      Multiply(ChunksOf(left, part).Transposed(), ChunksOf(right, part), StatesOf(states, part));
    }
    return states;
  }

  Tensor SumStates(bool backward, const Tensor& states) {
    const Tensor sums = Tensor::Empty(device_, states.shape(), states.dtype());
    Dispatch([&]<typename T>() {
      LaunchStateSums<T>(device_.platform(), plan_, states.size(2) * states.size(3), backward,
                         states.raw_data(), sums.raw_data());
    });
    return sums;
  }

  void GlobalBackward(const Tensor& dungated, const MixedChunkGradients& gradients) {
    const Tensor sums = SumStates(false, States(lin_k_, a_.v));
    for (const Part& part : parts_) {
      Multiply(ChunksOf(dungated, part), StatesOf(sums, part).Transposed(),
               ChunksOf(gradients.dlin_q, part));
    }
    const Tensor dstates = SumStates(true, States(a_.lin_q, dungated));
    for (const Part& part : parts_) {
      const Tensor dstate = StatesOf(dstates, part);
      Multiply(ChunksOf(a_.v, part), dstate.Transposed(), ChunksOf(gradients.dlin_k, part));
      Multiply(ChunksOf(lin_k_, part), dstate, ChunksOf(gradients.dv, part), 1, true);
    }
    ClearPadding(gradients.dlin_k);
  }

  CudaDevice& device_;
  const MixedChunkArguments& a_;
  const int64_t batch_;
  const int64_t rows_;
  const int64_t chunk_;
  int64_t chunks_ = 0;
  std::vector<Part> parts_;
  SegmentRows segments_;
  ChunkArguments plan_;
  Tensor ranges_;
  Tensor weights_;
  Tensor lin_k_;
};

}  // namespace

void MixedChunk(CudaDevice& device, const MixedChunkArguments& arguments) {
  if (arguments.out.elements() == 0) return;
  MixedChunkPass pass(device, arguments);
  const Tensor& sum = arguments.ungated.defined() ? arguments.ungated : arguments.out;
  pass.Forward(sum);
  if (arguments.gate.defined()) {
    device.elementwise().Binary(BinaryOp::kMultiply, sum, arguments.gate, arguments.out);
  } else if (arguments.ungated.defined()) {
    device.elementwise().Copy(sum, arguments.out);
  }
}

void MixedChunkBackward(CudaDevice& device, const MixedChunkArguments& forward,
                        const MixedChunkGradients& gradients) {
  if (forward.out.elements() == 0) return;
  MixedChunkPass pass(device, forward);
  Tensor dungated = gradients.dout;
  if (forward.gate.defined()) {
    Tensor ungated = forward.ungated;
    if (!ungated.defined()) {
      ungated = Tensor::Empty(device, forward.out.shape(), forward.out.dtype());
      pass.Forward(ungated);
    }
    if (gradients.dgate.defined()) {
      device.elementwise().Binary(BinaryOp::kMultiply, gradients.dout, ungated, gradients.dgate);
    }
    dungated = Tensor::Empty(device, forward.out.shape(), forward.out.dtype());
    device.elementwise().Binary(BinaryOp::kMultiply, gradients.dout, forward.gate, dungated);
  } else if (forward.segments.defined()) {
    dungated = gradients.dout.Clone();
  }
  // Outputs of padding are 0 whatever its inputs.
  pass.ClearPadding(dungated);
  pass.Backward(dungated, gradients);
}

}  // namespace trainyard::cuda
