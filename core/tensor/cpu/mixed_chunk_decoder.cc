#include "core/tensor/cpu/mixed_chunk_decoder.h"

#include <algorithm>

#include "core/tensor/cpu/row_products.h"
#include "core/tensor/cpu/score_rows.h"
#include "core/tensor/cpu/serial_gemm.h"
#include "core/tensor/tensor_error.h"

namespace trainyard {
namespace {

constexpr const char* kOperation = "mixed chunk decoder";

void ExpectRows(const char* name, const Tensor& tensor, DType type, int64_t rows, int64_t width) {
  if (!tensor.defined()) ThrowInvalidTensor(kOperation, ": ", name, " is missing");
  ExpectShape(kOperation, name, tensor, {rows, width});
  if (tensor.dtype() != type || (width > 1 && tensor.stride(1) != 1)) {
    ThrowInvalidTensor(kOperation, ": ", name, " is ", tensor.Description(), "; expected ",
                       NameOf(type), " rows without gaps");
  }
}

}  // namespace

// The state of one sequence.
template <typename T>
struct MixedChunkDecoder::Sequence {
  T* sum;
  T* quad_k;
  T* lin_k;
  T* v;
};

MixedChunkDecoder::MixedChunkDecoder(CpuDevice& device, const MixedChunkDecoderOptions& options)
    : device_(device), options_(options) {
  const auto [sequences, s, e, type, chunk, scale_qk, scale_a, global, mean, bias] = options;
  if (sequences < 1 || s < 1 || e < 1 || chunk < 1) {
    ThrowInvalidTensor(kOperation, ": ", sequences, " sequences, chunks of ", chunk, ", s = ", s,
                       ", e = ", e, "; each must be at least 1");
  }
  if (bias.defined()) {
    ExpectRows("bias", bias, type, chunk, chunk);
    options_.bias = bias.Contiguous();
  }
  lengths_.assign(static_cast<size_t>(sequences), 0);
  quad_k_ = Tensor::Empty(device, {sequences, chunk, s}, type);
  v_ = Tensor::Empty(device, {sequences, chunk, e}, type);
  if (global) {
    lin_k_ = Tensor::Empty(device, {sequences, chunk, s}, type);
    sums_ = Tensor::Empty(device, {sequences, s, e}, type);
  }
  weights_ = Tensor::Empty(device, {device.threads().threads(), std::max(chunk, s)}, type);
}

size_t MixedChunkDecoder::StateBytes() const {
  size_t bytes = quad_k_.bytes() + v_.bytes();
  if (options_.global) bytes += lin_k_.bytes() + sums_.bytes();
  return bytes;
}

template <typename T>
MixedChunkDecoder::Sequence<T> MixedChunkDecoder::StateOf(int64_t sequence) const {
  const auto part = [&](const Tensor& tensor) -> T* {
    return tensor.defined() ? tensor.data<T>() + sequence * tensor.stride(0) : nullptr;
  };
  return {part(sums_), part(quad_k_), part(lin_k_), part(v_)};
}

// Behind the last row of the open chunk, which closes when it is full.
template <typename T>
void MixedChunkDecoder::AddRow(int64_t sequence, const T* quad_k, const T* lin_k, const T* v) {
  const Sequence<T> state = StateOf<T>(sequence);
  int64_t& length = lengths_[static_cast<size_t>(sequence)];
  const int64_t row = length % options_.chunk;
  const bool first_chunk = length < options_.chunk;
  std::copy_n(quad_k, options_.s, state.quad_k + row * options_.s);
  std::copy_n(v, options_.e, state.v + row * options_.e);
  if (options_.global) std::copy_n(lin_k, options_.s, state.lin_k + row * options_.s);
  ++length;
  if (row + 1 < options_.chunk || !options_.global) return;
  SerialGemm({options_.s, options_.e, options_.chunk, true, false}, T{1}, state.lin_k, options_.s,
             state.v, options_.e, first_chunk ? T{0} : T{1}, state.sum, options_.e);
}

template <typename T>
void MixedChunkDecoder::AppendRows(int64_t sequence, const Tensor& quad_k, const Tensor& lin_k,
                                   const Tensor& v) {
  for (int64_t row = 0; row < v.size(0); ++row) {
    AddRow<T>(sequence, quad_k.data<T>() + row * quad_k.stride(0),
              options_.global ? lin_k.data<T>() + row * lin_k.stride(0) : nullptr,
              v.data<T>() + row * v.stride(0));
  }
}

void MixedChunkDecoder::Append(int64_t sequence, const Tensor& quad_k, const Tensor& lin_k,
                               const Tensor& v) {
  if (sequence < 0 || sequence >= options_.sequences) {
    ThrowInvalidTensor(kOperation, ": sequence ", sequence, " of ", options_.sequences);
  }
  ExpectRows("v", v, options_.type, -1, options_.e);
  ExpectRows("quad_k", quad_k, options_.type, v.size(0), options_.s);
  if (options_.global) ExpectRows("lin_k", lin_k, options_.type, v.size(0), options_.s);
  DispatchFloating(options_.type, kOperation,
                   [&]<typename T>() { AppendRows<T>(sequence, quad_k, lin_k, v); });
}

template <typename T>
void MixedChunkDecoder::StepSequence(const MixedChunkToken& token, int64_t sequence, T* weights) {
  const auto row_of = [&](const Tensor& tensor) {
    return tensor.data<T>() + sequence * tensor.stride(0);
  };
  const int64_t length = lengths_[static_cast<size_t>(sequence)];
  const int64_t row = length % options_.chunk;
  const int64_t closed = length / options_.chunk;
  const Sequence<T> state = StateOf<T>(sequence);
  T* const out = row_of(token.out);
  std::fill_n(out, options_.e, T{0});
  if (closed > 0 && options_.global) {
    const double rows = static_cast<double>(options_.chunk);
    const double weight =
        1 / (options_.mean_over_chunks ? rows * static_cast<double>(closed) : rows);
    const T* const lin_q = row_of(token.lin_q);
    for (int64_t i = 0; i < options_.s; ++i) weights[i] = static_cast<T>(weight) * lin_q[i];
    AddCombination(weights, state.sum, options_.e, options_.s, options_.e, out);
  }
  // The row goes in after the sum was used, which takes it up when it closes the chunk.
  AddRow<T>(sequence, row_of(token.quad_k), options_.global ? row_of(token.lin_k) : nullptr,
            row_of(token.v));
  const T* const quad_q = row_of(token.quad_q);
  for (int64_t j = 0; j <= row; ++j) {
    weights[j] =
        static_cast<T>(options_.scale_qk) * Dot(quad_q, state.quad_k + j * options_.s, options_.s);
  }
  const T* const bias =
      options_.bias.defined() ? options_.bias.data<T>() + row * options_.chunk : nullptr;
  SquareRectifiedRow(weights, bias, row + 1);
  for (int64_t j = 0; j <= row; ++j) weights[j] *= static_cast<T>(options_.scale_a);
  AddCombination(weights, state.v, options_.e, row + 1, options_.e, out);
  if (!token.gate.defined()) return;
  const T* const gate = row_of(token.gate);
  for (int64_t i = 0; i < options_.e; ++i) out[i] *= gate[i];
}

void MixedChunkDecoder::CheckToken(const MixedChunkToken& token) const {
  const int64_t sequences = options_.sequences;
  ExpectRows("quad_q", token.quad_q, options_.type, sequences, options_.s);
  ExpectRows("quad_k", token.quad_k, options_.type, sequences, options_.s);
  if (options_.global) {
    ExpectRows("lin_q", token.lin_q, options_.type, sequences, options_.s);
    ExpectRows("lin_k", token.lin_k, options_.type, sequences, options_.s);
  }
  ExpectRows("v", token.v, options_.type, sequences, options_.e);
  ExpectRows("out", token.out, options_.type, sequences, options_.e);
  if (token.gate.defined()) ExpectRows("gate", token.gate, options_.type, sequences, options_.e);
  if (token.active.defined()) ExpectShape(kOperation, "active", token.active, {sequences});
}

void MixedChunkDecoder::Step(const MixedChunkToken& token) {
  CheckToken(token);
  const Tensor active = token.active.defined() ? token.active.Contiguous() : Tensor();
  const uint8_t* const marks = active.defined() ? active.data<uint8_t>() : nullptr;
  DispatchFloating(options_.type, kOperation, [&]<typename T>() {
    device_.threads().Run(options_.sequences, [&](int64_t sequence, int thread) {
      if (marks != nullptr && marks[sequence] == 0) return;
      StepSequence<T>(token, sequence, weights_.data<T>() + thread * weights_.stride(0));
    });
  });
}

}  // namespace trainyard
