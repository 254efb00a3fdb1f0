#include <array>

#include "core/nn/ops/attention.h"
#include "core/nn/ops/support.h"
#include "core/nn/recorder.h"
#include "core/tensor/kernels/attention_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

constexpr const char* kOperation = "mixed_chunk_attention";

void CheckMixedChunk(const MixedChunkHeads& heads, const Variable& v, const Variable& gate,
                     const Variable& bias, const MixedChunkOptions& options) {
  ExpectFloating(kOperation, v);
  ExpectShape(kOperation, "v", v.value(), {-1, -1, -1});
  if (options.chunk < 1) ThrowInvalidTensor(kOperation, ": chunks of ", options.chunk, " rows");
  const auto expect = [&](const char* name, const Variable& x, int64_t width) {
    ExpectAlike(kOperation, v.value(), x.value());
    ExpectShape(kOperation, name, x.value(), {v.size(0), v.size(1), width});
  };
  expect("quad_q", heads.quad_q, -1);
  const int64_t s = heads.quad_q.size(2);
  expect("quad_k", heads.quad_k, s);
  if (options.global) {
    expect("lin_q", heads.lin_q, s);
    expect("lin_k", heads.lin_k, s);
  }
  if (gate.defined()) expect("gate", gate, v.size(2));
  if (bias.defined()) {
    ExpectAlike(kOperation, v.value(), bias.value());
    ExpectShape(kOperation, "bias", bias.value(), {options.chunk, options.chunk});
  }
  if (options.segments.defined()) {
    ExpectShape(kOperation, "segments", options.segments, {v.size(0), v.size(1)});
    if (options.segments.dtype() != DType::kInt32) {
      ThrowInvalidTensor(kOperation, ": segments are ", options.segments.Description(),
                         "; expected int32");
    }
  }
}

Tensor OperandOf(const Variable& x) {
  return x.defined() ? WithUnitLastStride(x.value()) : Tensor();
}

// Inputs: quad_q, quad_k, lin_q, lin_k, v, gate, bias.
struct MixedChunkBackward {
  MixedChunkArguments forward;

  void operator()(BackwardContext& context) const {
    MixedChunkGradients gradients;
    gradients.dout = context.output_gradient().Contiguous();
    const std::array<Tensor, 6> inputs = {forward.quad_q, forward.quad_k, forward.lin_q,
                                          forward.lin_k,  forward.v,      forward.gate};
    const std::array<Tensor*, 6> outs = {&gradients.dquad_q, &gradients.dquad_k, &gradients.dlin_q,
                                         &gradients.dlin_k,  &gradients.dv,      &gradients.dgate};
    std::array<GradientBuffer, 6> buffers;
    for (int i = 0; i < 6; ++i) {
      if (!inputs[i].defined()) continue;
      buffers[i] = context.FreshBuffer(i, inputs[i]);
      *outs[i] = buffers[i].tensor();
    }
    const GradientBuffer dbias = context.SumBuffer(6);
    gradients.dbias = dbias.tensor();
    if (forward.bias.defined() && !gradients.dbias.defined()) {
      gradients.dbias = Tensor::Zeros(forward.v.device(), forward.bias.shape(), forward.v.dtype());
    }
    forward.v.device().attention().MixedChunkBackward(forward, gradients);
    for (const GradientBuffer& buffer : buffers) buffer.Finish();
    dbias.Finish();
  }
};

MixedChunkArguments ArgumentsOf(const MixedChunkOptions& options) {
  MixedChunkArguments arguments;
  arguments.chunk = options.chunk;
  arguments.causal = options.causal;
  arguments.scale_qk = options.scale_qk;
  arguments.scale_a = options.scale_a;
  arguments.global = options.global;
  arguments.mean_over_chunks = options.mean_over_chunks;
  if (options.segments.defined()) arguments.segments = options.segments.Contiguous();
  return arguments;
}

}  // namespace

Variable MixedChunkAttention(const MixedChunkHeads& heads, const Variable& v, const Variable& gate,
                             const Variable& bias, const MixedChunkOptions& options) {
  CheckMixedChunk(heads, v, gate, bias, options);
  const Variable none;
  const Variable& lin_q = options.global ? heads.lin_q : none;
  const Variable& lin_k = options.global ? heads.lin_k : none;
  Recorder recorder(kOperation, heads.quad_q, heads.quad_k, lin_q, lin_k, v, gate, bias);
  MixedChunkArguments arguments = ArgumentsOf(options);
  arguments.quad_q = OperandOf(heads.quad_q);
  arguments.quad_k = OperandOf(heads.quad_k);
  arguments.lin_q = OperandOf(lin_q);
  arguments.lin_k = OperandOf(lin_k);
  arguments.v = OperandOf(v);
  arguments.gate = OperandOf(gate);
  if (bias.defined()) arguments.bias = bias.value().Contiguous();
  const Tensor out = Tensor::Empty(v.device(), v.shape(), v.dtype());
  arguments.out = out;
  if (recorder.recording() && gate.defined() && !options.recompute) {
    arguments.ungated = Tensor::Empty(v.device(), v.shape(), v.dtype());
  }
  v.device().attention().MixedChunk(arguments);
  return recorder.Record(out, MixedChunkBackward{arguments});
}

}  // namespace trainyard::nn
