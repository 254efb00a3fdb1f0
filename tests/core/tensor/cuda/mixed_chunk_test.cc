// Mixed chunk attention beside the definition as a sum over all pairs of rows in float64.
#include <algorithm>
#include <cmath>
#include <functional>

#include "core/tensor/kernels/attention_kernels.h"
#include "tests/core/tensor/cuda/kernel_test.h"

namespace trainyard {
namespace {

class CudaMixedChunkTest : public CudaKernelTest {};
INSTANTIATE_CUDA_KERNEL_TEST(CudaMixedChunkTest);

struct Problem {
  int64_t batch = 2, n = 10, chunk = 4, s = 3, e = 5;
  bool causal = true;
  bool global = true;
  bool mean = true;
  bool bias = true;
  bool gate = true;
  bool keep_ungated = true;
  std::vector<int32_t> segments;  // of every sequence, or none
};

constexpr double kScaleQk = 0.7;
constexpr double kScaleA = 0.3;

struct Inputs {
  Numbers quad_q, quad_k, lin_q, lin_k, v, gate, bias, dout;
  explicit Inputs(const Problem& p)
      : quad_q(RandomNumbers(p.batch * p.n * p.s, 1)),
        quad_k(RandomNumbers(p.batch * p.n * p.s, 2)),
        lin_q(RandomNumbers(p.batch * p.n * p.s, 3)),
        lin_k(RandomNumbers(p.batch * p.n * p.s, 4)),
        v(RandomNumbers(p.batch * p.n * p.e, 5)),
        gate(RandomNumbers(p.batch * p.n * p.e, 6)),
        bias(RandomNumbers(p.chunk * p.chunk, 7)),
        dout(RandomNumbers(p.batch * p.n * p.e, 8)) {}
};

int32_t SegmentOf(const Problem& p, int64_t row) {
  return p.segments.empty() ? 0 : p.segments[static_cast<size_t>(row)];
}

bool ChunksOverlap(const Problem& p, int64_t g, int64_t h) {
  const auto range = [&](int64_t chunk) {
    std::pair<int32_t, int32_t> result{1 << 30, -1};
    for (int64_t i = chunk * p.chunk; i < std::min((chunk + 1) * p.chunk, p.n); ++i) {
      if (SegmentOf(p, i) < 0) continue;
      result.first = std::min(result.first, SegmentOf(p, i));
      result.second = std::max(result.second, SegmentOf(p, i));
    }
    return result;
  };
  return range(g).first <= range(h).second && range(h).first <= range(g).second;
}

bool SeesGlobally(const Problem& p, int64_t i, int64_t j) {
  const int64_t g = i / p.chunk, h = j / p.chunk;
  return p.global && SegmentOf(p, j) >= 0 && !(p.causal && h >= g) && ChunksOverlap(p, g, h);
}

double Dot(const Numbers& a, const Numbers& b, int64_t i, int64_t j, int64_t size) {
  double sum = 0;
  for (int64_t c = 0; c < size; ++c) sum += a[i * size + c] * b[j * size + c];
  return sum;
}

// Rows of one sequence; `at` is its first row.
void ForwardRow(const Problem& p, const Inputs& in, int64_t at, int64_t i, Numbers& out) {
  if (SegmentOf(p, i) < 0) return;
  double seen = 0;
  for (int64_t j = 0; j < p.n; ++j) seen += SeesGlobally(p, i, j) ? 1 : 0;
  const double divisor = p.mean ? seen : static_cast<double>(p.chunk);
  for (int64_t j = 0; j < p.n; ++j) {
    double weight = 0;
    if (i / p.chunk == j / p.chunk && !(p.causal && j > i) && SegmentOf(p, i) == SegmentOf(p, j)) {
      double score = kScaleQk * Dot(in.quad_q, in.quad_k, at + i, at + j, p.s);
      if (p.bias) score += in.bias[i % p.chunk * p.chunk + j % p.chunk];
      weight += kScaleA * std::pow(std::max(score, 0.0), 2);
    }
    if (SeesGlobally(p, i, j)) weight += Dot(in.lin_q, in.lin_k, at + i, at + j, p.s) / divisor;
    for (int64_t c = 0; c < p.e; ++c) {
      const int64_t to = (at + i) * p.e + c;
      out[to] += weight * in.v[(at + j) * p.e + c] * (p.gate ? in.gate[to] : 1);
    }
  }
}

Numbers Forward(const Problem& p, const Inputs& in) {
  Numbers out(in.v.size(), 0.0);
  for (int64_t b = 0; b < p.batch; ++b) {
    for (int64_t i = 0; i < p.n; ++i) ForwardRow(p, in, b * p.n, i, out);
  }
  return out;
}

// By central differences.
Numbers Gradient(const Problem& p, Inputs in, Numbers Inputs::*member) {
  const double h = 1e-5;
  Numbers result;
  const auto loss = [&] {
    const Numbers out = Forward(p, in);
    double sum = 0;
    for (size_t i = 0; i < out.size(); ++i) sum += out[i] * in.dout[i];
    return sum;
  };
  for (size_t i = 0; i < (in.*member).size(); ++i) {
    const double value = (in.*member)[i];
    (in.*member)[i] = value + h;
    const double above = loss();
    (in.*member)[i] = value - h;
    result.push_back((above - loss()) / (2 * h));
    (in.*member)[i] = value;
  }
  return result;
}

MixedChunkArguments PutArguments(Device& on, DType type, const Problem& p, const Inputs& in) {
  const Shape heads{p.batch, p.n, p.s}, values{p.batch, p.n, p.e};
  // The four heads are slices of one tensor.
  const Tensor all = Tensor::Empty(on, {p.batch, p.n, 4 * p.s}, type);
  const auto head = [&](int64_t index, const Numbers& numbers) {
    const Tensor view = all.Slice(2, index * p.s, p.s);
    view.CopyFrom(Put(on, heads, numbers, type));
    return view;
  };
  MixedChunkArguments a{.quad_q = head(0, in.quad_q),
                        .quad_k = head(1, in.quad_k),
                        .lin_q = head(2, in.lin_q),
                        .lin_k = head(3, in.lin_k),
                        .v = Put(on, values, in.v, type, Placement::kGapped),
                        .out = Tensor::Empty(on, values, type),
                        .chunk = p.chunk,
                        .causal = p.causal,
                        .scale_qk = kScaleQk,
                        .scale_a = kScaleA,
                        .global = p.global,
                        .mean_over_chunks = p.mean};
  if (p.gate) a.gate = Put(on, values, in.gate, type, Placement::kGapped);
  if (p.keep_ungated) a.ungated = Tensor::Empty(on, values, type);
  if (p.bias) a.bias = Put(on, {p.chunk, p.chunk}, in.bias, type);
  if (!p.segments.empty()) {
    std::vector<int32_t> segments;
    for (int64_t b = 0; b < p.batch; ++b) {
      segments.insert(segments.end(), p.segments.begin(), p.segments.end());
    }
    a.segments = PutIntegers(on, {p.batch, p.n}, segments);
  }
  return a;
}

std::vector<Tensor> ForwardAndBackward(Device& on, DType type, const Problem& p, const Inputs& in) {
  const MixedChunkArguments a = PutArguments(on, type, p, in);
  on.attention().MixedChunk(a);
  const Shape heads{p.batch, p.n, p.s}, values{p.batch, p.n, p.e};
  MixedChunkGradients g{.dout = Put(on, values, in.dout, type),
                        .dquad_q = Tensor::Full(on, heads, 9, type),
                        .dquad_k = Tensor::Full(on, heads, 9, type),
                        .dlin_q = Tensor::Full(on, heads, 9, type),
                        .dlin_k = Tensor::Full(on, heads, 9, type),
                        .dv = Tensor::Full(on, values, 9, type)};
  if (p.gate) g.dgate = Tensor::Full(on, values, 9, type);
  if (p.bias) g.dbias = Tensor::Zeros(on, {p.chunk, p.chunk}, type);
  on.attention().MixedChunkBackward(a, g);
  std::vector<Tensor> results = {a.out, g.dquad_q, g.dquad_k, g.dlin_q, g.dlin_k, g.dv};
  if (p.gate) results.push_back(g.dgate);
  if (p.bias) results.push_back(g.dbias);
  return results;
}

TEST_P(CudaMixedChunkTest, ForwardAndBackward) {
  const std::vector<int32_t> packed = {0, 0, 0, 1, 1, 2, 2, 2, 3, 3};
  const std::vector<int32_t> padded = {-1, 0, 0, -1, 0, 0, -1, -1, -1, -1};
  const std::vector<int32_t> unordered = {5, 5, 5, 5, 1, 1, 1, 1, 5, 1};
  for (const Problem& p :
       {Problem{}, Problem{.causal = false}, Problem{.n = 8, .mean = false},
        Problem{.n = 3, .chunk = 8}, Problem{.n = 1, .chunk = 1, .gate = false},
        Problem{.global = false}, Problem{.bias = false, .keep_ungated = false},
        Problem{.segments = packed}, Problem{.causal = false, .segments = packed},
        Problem{.segments = padded}, Problem{.causal = false, .gate = false, .segments = padded},
        Problem{.segments = unordered}, Problem{.causal = false, .segments = unordered}}) {
    const Inputs in(p);
    std::vector<Numbers> expected = {Forward(p, in)};
    for (const auto member :
         {&Inputs::quad_q, &Inputs::quad_k, &Inputs::lin_q, &Inputs::lin_k, &Inputs::v}) {
      expected.push_back(Gradient(p, in, member));
    }
    if (p.gate) expected.push_back(Gradient(p, in, &Inputs::gate));
    if (p.bias) expected.push_back(Gradient(p, in, &Inputs::bias));
    Check([&](Device& on, DType type) { return ForwardAndBackward(on, type, p, in); }, expected,
          1e-5, 1e-7);
  }
}

// Sizes of models, beside the CPU alone: many chunks, and one long chunk in several strips.
TEST_P(CudaMixedChunkTest, SameAsOnTheCpuAtLargerSizes) {
  for (const Problem& p :
       {Problem{.batch = 1, .n = 300, .chunk = 64, .s = 32, .e = 48},
        Problem{.batch = 1, .n = 520, .chunk = 520, .s = 8, .e = 16},
        Problem{.batch = 1, .n = 300, .chunk = 290, .s = 8, .e = 5, .causal = false}}) {
    const Inputs in(p);
    std::vector<Numbers> expected;
    for (const Tensor& result : ForwardAndBackward(cpu(), DType::kFloat64, p, in)) {
      expected.push_back(Get(result));
    }
    CheckHere([&](Device& on, DType type) { return ForwardAndBackward(on, type, p, in); }, expected,
              1e-5);
  }
}

}  // namespace
}  // namespace trainyard
