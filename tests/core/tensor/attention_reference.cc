#include "tests/core/tensor/attention_reference.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace trainyard {

std::vector<double> ValuesOf(const Tensor& tensor) {
  return tensor.To(DType::kFloat64).ToVector<double>();
}

double RelativeError(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double difference = 0;
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) continue;  // infinities too
    if (!(std::abs(a[i] - b[i]) <= std::numeric_limits<double>::max())) {
      return std::numeric_limits<double>::infinity();
    }
    difference = std::max(difference, std::abs(a[i] - b[i]));
  }
  for (const double value : b) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  return largest == 0 ? difference : difference / largest;
}

double RelativeError(const Tensor& a, std::span<const double> b) {
  return RelativeError(ValuesOf(a), b);
}

namespace {

double Dot(const double* a, const double* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

void AddScaled(double factor, const double* from, double* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] += factor * from[i];
}

std::vector<int32_t> IntegersOf(const Tensor& tensor) {
  return tensor.defined() ? tensor.ToVector<int32_t>() : std::vector<int32_t>();
}

size_t Size(int64_t n) { return static_cast<size_t>(n); }

}  // namespace

AttentionReference ReferenceOf(const AttentionArguments& a, const Tensor& dout_tensor) {
  const int64_t batches = a.q.size(0);
  const int64_t heads = a.q.size(1);
  const int64_t n = a.q.size(2);
  const int64_t m = a.k.size(2);
  const int64_t dh = a.q.size(3);
  const int64_t width = a.v.size(3);
  const std::vector<double> q = ValuesOf(a.q);
  const std::vector<double> k = ValuesOf(a.k);
  const std::vector<double> v = ValuesOf(a.v);
  const std::vector<double> dout = ValuesOf(dout_tensor);
  const std::vector<int32_t> query_segments = IntegersOf(a.query_segments);
  const std::vector<int32_t> key_segments = IntegersOf(a.key_segments);
  const std::vector<uint8_t> key_mask =
      a.key_mask.defined() ? a.key_mask.ToVector<uint8_t>() : std::vector<uint8_t>();
  AttentionReference r;
  r.out.assign(Size(batches * heads * n * width), 0);
  r.logsumexp.assign(Size(batches * heads * n), -std::numeric_limits<double>::infinity());
  r.dq.assign(q.size(), 0);
  r.dk.assign(k.size(), 0);
  r.dv.assign(v.size(), 0);
  std::vector<double> weights(Size(m));
  for (int64_t pair = 0; pair < batches * heads; ++pair) {
    const int64_t batch = pair / heads;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t query = pair * n + i;
      double largest = -std::numeric_limits<double>::infinity();
      for (int64_t j = 0; j < m; ++j) {
        const bool seen = (!a.causal || j <= i + m - n) &&
                          (query_segments.empty() || query_segments[Size(batch * n + i)] ==
                                                         key_segments[Size(batch * m + j)]) &&
                          (key_mask.empty() || key_mask[Size(batch * m + j)] != 0);
        weights[Size(j)] =
            seen ? a.scale * Dot(&q[Size(query * dh)], &k[Size((pair * m + j) * dh)], dh)
                 : -std::numeric_limits<double>::infinity();
        largest = std::max(largest, weights[Size(j)]);
      }
      if (std::isinf(largest)) continue;
      double sum = 0;
      for (double& weight : weights) sum += weight = std::exp(weight - largest);
      for (double& weight : weights) weight /= sum;
      r.logsumexp[Size(query)] = largest + std::log(sum);
      double* const out = &r.out[Size(query * width)];
      const double* const d = &dout[Size(query * width)];
      for (int64_t j = 0; j < m; ++j) {
        AddScaled(weights[Size(j)], &v[Size((pair * m + j) * width)], out, width);
        AddScaled(weights[Size(j)], d, &r.dv[Size((pair * m + j) * width)], width);
      }
      const double mean = Dot(out, d, width);
      for (int64_t j = 0; j < m; ++j) {
        const int64_t key = pair * m + j;
        const double dscore =
            a.scale * weights[Size(j)] * (Dot(d, &v[Size(key * width)], width) - mean);
        AddScaled(dscore, &k[Size(key * dh)], &r.dq[Size(query * dh)], dh);
        AddScaled(dscore, &q[Size(query * dh)], &r.dk[Size(key * dh)], dh);
      }
    }
  }
  return r;
}

namespace {

// The range of the segments of a chunk's real rows, and their number.
struct ChunkRange {
  int32_t low = std::numeric_limits<int32_t>::max();
  int32_t high = std::numeric_limits<int32_t>::min();
  int64_t real = 0;
};

}  // namespace

MixedChunkReference ReferenceOf(const MixedChunkArguments& a, const Tensor& dout_tensor) {
  const int64_t batches = a.v.size(0);
  const int64_t n = a.v.size(1);
  const int64_t e = a.v.size(2);
  const int64_t s = a.quad_q.size(2);
  const std::vector<double> qq = ValuesOf(a.quad_q);
  const std::vector<double> qk = ValuesOf(a.quad_k);
  const std::vector<double> lq = ValuesOf(a.lin_q);
  const std::vector<double> lk = ValuesOf(a.lin_k);
  const std::vector<double> v = ValuesOf(a.v);
  const std::vector<double> gate =
      a.gate.defined() ? ValuesOf(a.gate) : std::vector<double>(v.size(), 1.0);
  const std::vector<double> bias =
      a.bias.defined() ? ValuesOf(a.bias) : std::vector<double>(Size(a.chunk * a.chunk));
  const std::vector<double> dout = ValuesOf(dout_tensor);
  std::vector<int32_t> segments = IntegersOf(a.segments);
  if (segments.empty()) segments.assign(Size(batches * n), 0);
  MixedChunkReference r;
  r.ungated.assign(v.size(), 0);
  r.out.assign(v.size(), 0);
  r.dquad_q.assign(qq.size(), 0);
  r.dquad_k.assign(qq.size(), 0);
  r.dlin_q.assign(qq.size(), 0);
  r.dlin_k.assign(qq.size(), 0);
  r.dv.assign(v.size(), 0);
  r.dgate.assign(v.size(), 0);
  r.dbias.assign(bias.size(), 0);
  std::vector<double> d(Size(e));
  for (int64_t batch = 0; batch < batches; ++batch) {
    std::vector<ChunkRange> ranges(Size((n + a.chunk - 1) / a.chunk));
    for (int64_t i = 0; i < n; ++i) {
      const int32_t segment = segments[Size(batch * n + i)];
      if (segment < 0) continue;
      ChunkRange& range = ranges[Size(i / a.chunk)];
      range.low = std::min(range.low, segment);
      range.high = std::max(range.high, segment);
      ++range.real;
    }
    const auto sees = [&](int64_t g, int64_t h) {
      const ChunkRange& x = ranges[Size(g)];
      const ChunkRange& y = ranges[Size(h)];
      return (!a.causal || h < g) && x.real > 0 && y.real > 0 && x.low <= y.high && y.low <= x.high;
    };
    for (int64_t i = 0; i < n; ++i) {
      const int64_t row = batch * n + i;
      if (segments[Size(row)] < 0) continue;
      const int64_t g = i / a.chunk;
      int64_t seen = 0;
      for (int64_t h = 0; h < static_cast<int64_t>(ranges.size()); ++h) {
        if (sees(g, h)) seen += ranges[Size(h)].real;
      }
      const double weight =
          1.0 / static_cast<double>(a.mean_over_chunks ? std::max<int64_t>(seen, 1) : a.chunk);
      for (int64_t c = 0; c < e; ++c)
        d[Size(c)] = dout[Size(row * e + c)] * gate[Size(row * e + c)];
      for (int64_t j = 0; j < n; ++j) {
        const int64_t key = batch * n + j;
        if (segments[Size(key)] < 0) continue;
        const double dweight = Dot(d.data(), &v[Size(key * e)], e);
        double total = 0;
        if (j / a.chunk == g && (!a.causal || j <= i) &&
            segments[Size(row)] == segments[Size(key)]) {
          const int64_t place = i % a.chunk * a.chunk + j % a.chunk;
          const double positive = std::max(
              0.0, a.scale_qk * Dot(&qq[Size(row * s)], &qk[Size(key * s)], s) + bias[Size(place)]);
          total += a.scale_a * positive * positive;
          const double dscore = dweight * 2 * a.scale_a * positive;
          AddScaled(dscore * a.scale_qk, &qk[Size(key * s)], &r.dquad_q[Size(row * s)], s);
          AddScaled(dscore * a.scale_qk, &qq[Size(row * s)], &r.dquad_k[Size(key * s)], s);
          r.dbias[Size(place)] += dscore;
        }
        if (a.global && sees(g, j / a.chunk)) {
          total += weight * Dot(&lq[Size(row * s)], &lk[Size(key * s)], s);
          AddScaled(dweight * weight, &lk[Size(key * s)], &r.dlin_q[Size(row * s)], s);
          AddScaled(dweight * weight, &lq[Size(row * s)], &r.dlin_k[Size(key * s)], s);
        }
        AddScaled(total, &v[Size(key * e)], &r.ungated[Size(row * e)], e);
        AddScaled(total, d.data(), &r.dv[Size(key * e)], e);
      }
      for (int64_t c = 0; c < e; ++c) {
        const size_t at = Size(row * e + c);
        r.out[at] = r.ungated[at] * gate[at];
        r.dgate[at] = r.ungated[at] * dout[at];
      }
    }
  }
  return r;
}

}  // namespace trainyard
