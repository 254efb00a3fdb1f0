#include "core/tensor/cpu/mixed_chunk_decoder.h"

#include <random>
#include <vector>

#include "core/tensor/kernels/attention_kernels.h"
#include "core/tensor/tensor_error.h"
#include "gtest/gtest.h"
#include "tests/core/tensor/attention_reference.h"

namespace trainyard {
namespace {

struct Case {
  int64_t n = 1;
  int64_t chunk = 64;
  DType type = DType::kFloat32;
  bool global = true;
  bool mean = true;
  bool gate = true;
  int64_t sequences = 2;
  int64_t s = 8;
  int64_t e = 20;
};

Tensor Random(CpuDevice& device, const Shape& shape, DType type) {
  static std::mt19937_64 random(99);
  std::vector<float> values(static_cast<size_t>(shape.elements()));
  std::normal_distribution<float> normal;
  for (float& value : values) value = normal(random);
  return Tensor::FromValues<float>(device, shape, values).To(type);
}

// The parallel form, run.
MixedChunkArguments Parallel(CpuDevice& device, const Case& c) {
  MixedChunkArguments a;
  const Tensor heads = Random(device, {c.sequences, c.n, 4, c.s}, c.type);
  a.quad_q = heads.Select(2, 0);
  a.quad_k = heads.Select(2, 1);
  if (c.global) {
    a.lin_q = heads.Select(2, 2);
    a.lin_k = heads.Select(2, 3);
  }
  a.v = Random(device, {c.sequences, c.n, c.e}, c.type);
  if (c.gate) a.gate = Random(device, {c.sequences, c.n, c.e}, c.type);
  a.bias = Random(device, {c.chunk, c.chunk}, c.type);
  a.out = Tensor::Empty(device, {c.sequences, c.n, c.e}, c.type);
  a.chunk = c.chunk;
  a.scale_qk = 0.4;
  a.scale_a = 0.2;
  a.global = c.global;
  a.mean_over_chunks = c.mean;
  device.attention().MixedChunk(a);
  return a;
}

MixedChunkDecoder DecoderOf(CpuDevice& device, const Case& c, const MixedChunkArguments& a) {
  return MixedChunkDecoder(device, {.sequences = c.sequences,
                                    .s = c.s,
                                    .e = c.e,
                                    .type = c.type,
                                    .chunk = c.chunk,
                                    .scale_qk = a.scale_qk,
                                    .scale_a = a.scale_a,
                                    .global = c.global,
                                    .mean_over_chunks = c.mean,
                                    .bias = a.bias});
}

Tensor At(const Tensor& tensor, int64_t position) {
  return tensor.defined() ? tensor.Select(1, position) : Tensor();
}

MixedChunkToken TokenAt(const MixedChunkArguments& a, const Tensor& out, int64_t position) {
  return {.quad_q = At(a.quad_q, position),
          .quad_k = At(a.quad_k, position),
          .lin_q = At(a.lin_q, position),
          .lin_k = At(a.lin_k, position),
          .v = At(a.v, position),
          .gate = At(a.gate, position),
          .out = At(out, position)};
}

void ExpectParallel(const Case& c, double tolerance) {
  CpuDevice device(2);
  const MixedChunkArguments a = Parallel(device, c);
  MixedChunkDecoder decoder = DecoderOf(device, c, a);
  const size_t state = decoder.StateBytes();
  const Tensor out = Tensor::Zeros(device, a.out.shape(), c.type);
  for (int64_t position = 0; position < c.n; ++position) {
    decoder.Step(TokenAt(a, out, position));
  }
  EXPECT_LE(RelativeError(out, ValuesOf(a.out)), tolerance);
  EXPECT_EQ(decoder.length(0), c.n);
  EXPECT_EQ(decoder.StateBytes(), state);
}

TEST(MixedChunkDecoderTest, EqualsTheParallelFormOverAThousandTokens) {
  ExpectParallel({.n = 1000, .type = DType::kFloat64}, 1e-12);
  ExpectParallel({.n = 1000}, 1e-5);
  ExpectParallel({.n = 1000, .chunk = 256, .sequences = 1, .s = 32, .e = 64}, 1e-5);
}

TEST(MixedChunkDecoderTest, EqualsTheParallelFormWithoutItsOptions) {
  ExpectParallel({.n = 100, .chunk = 16, .type = DType::kFloat64, .global = false}, 1e-12);
  ExpectParallel({.n = 100, .chunk = 16, .type = DType::kFloat64, .mean = false}, 1e-12);
  ExpectParallel({.n = 100, .chunk = 16, .type = DType::kFloat64, .gate = false}, 1e-12);
  ExpectParallel({.n = 20, .chunk = 1, .type = DType::kFloat64}, 1e-12);
}

TEST(MixedChunkDecoderTest, GoesOnBehindPromptsOfUnequalLength) {
  CpuDevice device(2);
  const Case c = {.n = 200, .type = DType::kFloat64, .sequences = 6};
  const MixedChunkArguments a = Parallel(device, c);
  MixedChunkDecoder decoder = DecoderOf(device, c, a);
  const std::vector<int64_t> prompts = {0, 1, 63, 64, 65, 150};
  for (int64_t i = 0; i < c.sequences; ++i) {
    const int64_t length = prompts[static_cast<size_t>(i)];
    const auto part = [&](const Tensor& x, int64_t first, int64_t count) {
      return x.Select(0, i).Slice(0, first, count);
    };
    // In two parts, so that one begins within a chunk.
    const int64_t first = length / 3;
    decoder.Append(i, part(a.quad_k, 0, first), part(a.lin_k, 0, first), part(a.v, 0, first));
    decoder.Append(i, part(a.quad_k, first, length - first), part(a.lin_k, first, length - first),
                   part(a.v, first, length - first));
  }
  // Sequence i stops after 50 tokens; token t of it stands at another place in each.
  for (int64_t t = 0; t < 50; ++t) {
    MixedChunkToken token = TokenAt(a, a.out, 0);
    for (Tensor* tensor : {&token.quad_q, &token.quad_k, &token.lin_q, &token.lin_k, &token.v,
                           &token.gate, &token.out}) {
      *tensor = Tensor::Empty(device, tensor->shape(), c.type);
    }
    for (int64_t i = 0; i < c.sequences; ++i) {
      const MixedChunkToken from = TokenAt(a, a.out, prompts[static_cast<size_t>(i)] + t);
      token.quad_q.Select(0, i).CopyFrom(from.quad_q.Select(0, i));
      token.quad_k.Select(0, i).CopyFrom(from.quad_k.Select(0, i));
      token.lin_q.Select(0, i).CopyFrom(from.lin_q.Select(0, i));
      token.lin_k.Select(0, i).CopyFrom(from.lin_k.Select(0, i));
      token.v.Select(0, i).CopyFrom(from.v.Select(0, i));
      token.gate.Select(0, i).CopyFrom(from.gate.Select(0, i));
    }
    decoder.Step(token);
    for (int64_t i = 0; i < c.sequences; ++i) {
      const Tensor expected = a.out.Select(0, i).Select(0, prompts[static_cast<size_t>(i)] + t);
      EXPECT_LE(RelativeError(token.out.Select(0, i), ValuesOf(expected)), 1e-11) << i << " " << t;
    }
  }
}

TEST(MixedChunkDecoderTest, SequencesThatAreNotActiveStayAsTheyAre) {
  CpuDevice device(2);
  const Case c = {.n = 100, .chunk = 16, .type = DType::kFloat64};
  const MixedChunkArguments a = Parallel(device, c);
  MixedChunkDecoder decoder = DecoderOf(device, c, a);
  const Tensor out = Tensor::Full(device, a.out.shape(), 7, c.type);
  const std::vector<uint8_t> marks = {1, 0};
  for (int64_t position = 0; position < c.n; ++position) {
    MixedChunkToken token = TokenAt(a, out, position);
    token.active = Tensor::FromValues<uint8_t>(device, {2}, marks);
    decoder.Step(token);
  }
  EXPECT_EQ(decoder.length(1), 0);
  EXPECT_LE(RelativeError(out.Select(0, 0), ValuesOf(a.out.Select(0, 0))), 1e-12);
  for (const double value : ValuesOf(out.Select(0, 1))) EXPECT_EQ(value, 7);
  // A sequence that is begun anew gives the same again.
  decoder.Reset(0);
  const Tensor again = Tensor::Zeros(device, a.out.shape(), c.type);
  for (int64_t position = 0; position < c.n; ++position) {
    decoder.Step(TokenAt(a, again, position));
  }
  EXPECT_EQ(ValuesOf(again.Select(0, 0)), ValuesOf(out.Select(0, 0)));
}

TEST(MixedChunkDecoderTest, RefusesShapesThatDoNotFit) {
  CpuDevice device(1);
  const Case c = {.n = 4};
  const MixedChunkArguments a = Parallel(device, c);
  EXPECT_THROW(MixedChunkDecoder(device, {.sequences = 1, .s = 0, .e = 4}), TensorError);
  MixedChunkDecoder decoder = DecoderOf(device, c, a);
  MixedChunkToken token = TokenAt(a, a.out, 0);
  token.v = token.quad_q;
  EXPECT_THROW(decoder.Step(token), TensorError);
  token = TokenAt(a, a.out, 0);
  token.lin_k = Tensor();
  EXPECT_THROW(decoder.Step(token), TensorError);
  EXPECT_THROW(decoder.Append(2, a.quad_k.Select(0, 0), a.lin_k.Select(0, 0), a.v.Select(0, 0)),
               TensorError);
  EXPECT_EQ(decoder.length(0), 0);
}

}  // namespace
}  // namespace trainyard
