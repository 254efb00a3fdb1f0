// Softmax attention beside loops in float64; gradients by the formulas of a plain softmax over the
// whole matrix of weights.
#include <cmath>
#include <limits>

#include "core/tensor/kernels/attention_kernels.h"
#include "tests/core/tensor/cuda/kernel_test.h"

namespace trainyard {
namespace {

class CudaAttentionTest : public CudaKernelTest {};
INSTANTIATE_CUDA_KERNEL_TEST(CudaAttentionTest);

struct Problem {
  int64_t batch = 2, heads = 2, n = 7, m = 7, width = 5, v_width = 6;
  bool causal = false;
  bool segments = false;
  bool key_mask = false;
};

struct Inputs {
  Numbers q, k, v, dout;
  std::vector<int32_t> query_segments, key_segments;
  std::vector<uint8_t> key_mask;

  explicit Inputs(const Problem& p)
      : q(RandomNumbers(p.batch * p.heads * p.n * p.width, 1)),
        k(RandomNumbers(p.batch * p.heads * p.m * p.width, 2)),
        v(RandomNumbers(p.batch * p.heads * p.m * p.v_width, 3)),
        dout(RandomNumbers(p.batch * p.heads * p.n * p.v_width, 4)),
        query_segments(RandomIntegers(p.batch * p.n, 0, 2, 5)),
        key_segments(RandomIntegers(p.batch * p.m, 0, 2, 6)) {
    for (const int32_t value : RandomIntegers(p.batch * p.m, 0, 3, 7)) {
      key_mask.push_back(value > 0 ? 1 : 0);
    }
  }
};

constexpr double kScale = 0.4;

struct Results {
  Numbers out, logsumexp, dq, dk, dv;
};

bool Sees(const Problem& p, const Inputs& in, int64_t b, int64_t i, int64_t j) {
  return !(p.causal && j > i + p.m - p.n) && !(p.key_mask && in.key_mask[b * p.m + j] == 0) &&
         !(p.segments && in.query_segments[b * p.n + i] != in.key_segments[b * p.m + j]);
}

// One query of one head.
void AddQuery(const Problem& p, const Inputs& in, int64_t b, int64_t h, int64_t i, Results& r) {
  const int64_t head = b * p.heads + h;
  const double* q = &in.q[(head * p.n + i) * p.width];
  const double* dout = &in.dout[(head * p.n + i) * p.v_width];
  Numbers weights(p.m, 0.0), slopes(p.m, 0.0);
  double sum = 0, mean = 0;
  for (int64_t j = 0; j < p.m; ++j) {
    if (!Sees(p, in, b, i, j)) continue;
    double score = 0;
    for (int64_t c = 0; c < p.width; ++c) score += q[c] * in.k[(head * p.m + j) * p.width + c];
    weights[j] = std::exp(kScale * score);
    sum += weights[j];
  }
  r.logsumexp[head * p.n + i] = std::log(sum);
  if (sum == 0) return;
  for (int64_t j = 0; j < p.m; ++j) {
    weights[j] /= sum;
    for (int64_t c = 0; c < p.v_width; ++c) {
      const int64_t at = (head * p.m + j) * p.v_width + c;
      r.out[(head * p.n + i) * p.v_width + c] += weights[j] * in.v[at];
      r.dv[at] += weights[j] * dout[c];
      slopes[j] += dout[c] * in.v[at];
    }
    mean += weights[j] * slopes[j];
  }
  for (int64_t j = 0; j < p.m; ++j) {
    const double dscore = kScale * weights[j] * (slopes[j] - mean);
    for (int64_t c = 0; c < p.width; ++c) {
      r.dq[(head * p.n + i) * p.width + c] += dscore * in.k[(head * p.m + j) * p.width + c];
      r.dk[(head * p.m + j) * p.width + c] += dscore * q[c];
    }
  }
}

Results Expected(const Problem& p, const Inputs& in) {
  Results r{Numbers(in.dout.size(), 0.0), Numbers(p.batch * p.heads * p.n, 0.0),
            Numbers(in.q.size(), 0.0), Numbers(in.k.size(), 0.0), Numbers(in.v.size(), 0.0)};
  for (int64_t b = 0; b < p.batch; ++b) {
    for (int64_t h = 0; h < p.heads; ++h) {
      for (int64_t i = 0; i < p.n; ++i) AddQuery(p, in, b, h, i, r);
    }
  }
  return r;
}

// [batch, heads, rows, width] inside of [batch, rows, heads, width], as models have it.
Tensor PutHeads(Device& on, const Problem& p, int64_t rows, int64_t width, const Numbers& values,
                DType type) {
  const Tensor view =
      Tensor::Empty(on, {p.batch, rows, p.heads, width}, type).Permuted({0, 2, 1, 3});
  view.CopyFrom(Put(on, {p.batch, p.heads, rows, width}, values, type));
  return view;
}

std::vector<Tensor> ForwardAndBackward(Device& on, DType type, const Problem& p, const Inputs& in) {
  AttentionArguments a{.q = PutHeads(on, p, p.n, p.width, in.q, type),
                       .k = PutHeads(on, p, p.m, p.width, in.k, type),
                       .v = PutHeads(on, p, p.m, p.v_width, in.v, type),
                       .out = PutHeads(on, p, p.n, p.v_width, in.dout, type),
                       .logsumexp = Tensor::Empty(on, {p.batch, p.heads, p.n}, type),
                       .scale = kScale,
                       .causal = p.causal};
  if (p.segments) {
    a.query_segments = PutIntegers(on, {p.batch, p.n}, in.query_segments);
    a.key_segments = PutIntegers(on, {p.batch, p.m}, in.key_segments);
  }
  if (p.key_mask) a.key_mask = Tensor::FromValues<uint8_t>(on, {p.batch, p.m}, in.key_mask);
  on.attention().Attend(a);
  const AttentionGradients g{.dout = PutHeads(on, p, p.n, p.v_width, in.dout, type),
                             .dq = PutHeads(on, p, p.n, p.width, in.q, type),
                             .dk = PutHeads(on, p, p.m, p.width, in.k, type),
                             .dv = PutHeads(on, p, p.m, p.v_width, in.v, type)};
  on.attention().AttendBackward(a, g);
  return {a.out, a.logsumexp, g.dq, g.dk, g.dv};
}

TEST_P(CudaAttentionTest, ForwardAndBackward) {
  for (const Problem& p :
       {Problem{}, Problem{.n = 1, .m = 1}, Problem{.causal = true},
        Problem{.n = 5, .m = 9, .causal = true}, Problem{.n = 9, .m = 5, .causal = true},
        Problem{.segments = true}, Problem{.n = 4, .m = 11, .key_mask = true},
        Problem{.causal = true, .segments = true, .key_mask = true}}) {
    const Inputs in(p);
    const Results r = Expected(p, in);
    Check([&](Device& on, DType type) { return ForwardAndBackward(on, type, p, in); },
          {r.out, r.logsumexp, r.dq, r.dk, r.dv}, 5e-6);
  }
}

// Several tiles of rows, keys, depth and columns in both types.
TEST_P(CudaAttentionTest, SeveralTiles) {
  for (const Problem& p :
       {Problem{
            .batch = 1, .heads = 2, .n = 70, .m = 70, .width = 36, .v_width = 33, .causal = true},
        Problem{.batch = 1, .heads = 1, .n = 33, .m = 130, .width = 64, .v_width = 129}}) {
    const Inputs in(p);
    const Results r = Expected(p, in);
    Check([&](Device& on, DType type) { return ForwardAndBackward(on, type, p, in); },
          {r.out, r.logsumexp, r.dq, r.dk, r.dv}, 1e-5);
  }
}

}  // namespace
}  // namespace trainyard
