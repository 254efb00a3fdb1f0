// The products of a gated layer, beside the matrix products that they stand for: D U and D^T (r X)
// by oneDNN's sgemm with D as numbers, in the same run and on as many threads. gflops counts
// 2 n P d c operations a product; the matrix product leaves out what the gated layer's adds to it,
// the dots with the rows and the products r X.
#include <benchmark/benchmark.h>
#ifdef TRAINYARD_BENCHMARK_ONEDNN
#include <dnnl.h>
#endif

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "core/algorithms/convex_relu/cpu_pattern_operator.h"
#include "core/algorithms/convex_relu/gates.h"
#include "core/base/random.h"
#include "core/base/thread_pool.h"

namespace trainyard::convex_relu {
namespace {

int Threads() { return static_cast<int>(std::max(1U, std::thread::hardware_concurrency())); }

template <typename Real>
PaddedMatrix<Real> RandomData(int64_t rows, int columns) {
  Rng rng(1);
  PaddedMatrix<Real> data(rows, columns);
  for (int64_t row = 0; row < rows; ++row) {
    for (int i = 0; i < columns; ++i) {
      data.row(row)[i] = static_cast<Real>(rng.NextDouble() - 0.5);
    }
  }
  return data;
}

// Fair bits: what the tables' caches like least.
BitMatrix RandomPatterns(int64_t rows, int64_t patterns, ThreadPool& pool) {
  Rng rng(2);
  std::vector<uint64_t> columns(static_cast<size_t>(BitBlocks(rows) * patterns));
  const uint64_t last = rows % 64 == 0 ? ~uint64_t{0} : (uint64_t{1} << (rows % 64)) - 1;
  for (size_t i = 0; i < columns.size(); ++i) {
    const bool ends = (static_cast<int64_t>(i) + 1) % BitBlocks(rows) == 0;
    columns[i] = rng.NextUint64() & (ends ? last : ~uint64_t{0});
  }
  return BitMatrix(rows, columns, pool);
}

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// The matrix products of a layer, all outputs side by side, up to kChunk rows at a time.
class Sgemm {
 public:
  static constexpr int64_t kChunk = 8192;

  Sgemm(int64_t rows, int columns, int64_t patterns)
      : rows_(std::min(rows, kChunk)), columns_(columns), patterns_(patterns) {
#ifdef TRAINYARD_BENCHMARK_ONEDNN
    Rng rng(3);
    for (int64_t i = 0; i < rows_ * patterns_; ++i) {
      gates_.push_back(rng.NextUint64() % 2 == 0 ? 0.0F : 1.0F);
    }
    data_.assign(static_cast<size_t>(rows_ * columns_), 0.5F);
    weights_.assign(static_cast<size_t>(patterns_ * columns_), 0.5F);
#endif
  }

  // 0 where there is no oneDNN.
  double Gflops([[maybe_unused]] bool adjoint) {
#ifdef TRAINYARD_BENCHMARK_ONEDNN
    const auto begin = std::chrono::steady_clock::now();
    if (adjoint) {
      dnnl_sgemm('T', 'N', patterns_, columns_, rows_, 1, gates_.data(), patterns_, data_.data(),
                 columns_, 0, weights_.data(), columns_);
    } else {
      dnnl_sgemm('N', 'N', rows_, columns_, patterns_, 1, gates_.data(), patterns_, weights_.data(),
                 columns_, 0, data_.data(), columns_);
    }
    return 2e-9 * static_cast<double>(rows_ * columns_ * patterns_) / SecondsSince(begin);
#else
    return 0;
#endif
  }

 private:
  int64_t rows_;
  int64_t columns_;
  int64_t patterns_;
  std::vector<float> gates_;
  std::vector<float> data_;
  std::vector<float> weights_;
};

enum class Product { kForward, kAdjoint, kNorms };

// Arguments: n, d, P, c.
template <typename Real>
void RunProduct(benchmark::State& state, Product product) {
  const int64_t n = state.range(0);
  const auto d = static_cast<int>(state.range(1));
  const int64_t p = state.range(2);
  const auto outputs = static_cast<int>(state.range(3));
  ThreadPool pool(Threads());
  CpuPatternOperator<Real> op(RandomData<Real>(n, d), RandomPatterns(n, p, pool), pool);
  PaddedMatrix<Real> weights = RandomData<Real>(outputs * p, d);
  PaddedMatrix<Real> predictions = RandomData<Real>(1, static_cast<int>(outputs * n));
  std::vector<double> norms(static_cast<size_t>(outputs * p));
  Sgemm sgemm(n, d * outputs, p);
  std::vector<double> seconds;
  std::vector<double> sgemm_gflops;
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    switch (product) {
      case Product::kForward:
        op.Forward(outputs, weights.data(), predictions.data());
        break;
      case Product::kAdjoint:
        op.Adjoint(outputs, predictions.data(), weights.data());
        break;
      case Product::kNorms:
        op.AdjointNorms(outputs, predictions.data(), norms.data());
        break;
    }
    seconds.push_back(SecondsSince(begin));
    state.SetIterationTime(seconds.back());
    sgemm_gflops.push_back(sgemm.Gflops(product != Product::kForward));
  }
  const double gflops = 2e-9 * static_cast<double>(n * d * p * outputs) / Median(seconds);
  state.counters["gflops"] = gflops;
  state.counters["sgemm_gflops"] = Median(sgemm_gflops);
  state.counters["ratio"] = gflops / Median(sgemm_gflops);
}

void Shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"n", "d", "P", "c"})
      ->Args({10000, 784, 2000, 1})
      ->Args({1500, 64, 500, 10})
      ->Args({60000, 784, 5000, 1})
      ->Args({10000, 784, 50, 1})
      ->Args({20000, 13, 1000, 1})
      ->Args({20000, 13, 50, 1})
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

void BM_FloatProduct(benchmark::State& state, Product product) {
  RunProduct<float>(state, product);
}
void BM_DoubleProduct(benchmark::State& state, Product product) {
  RunProduct<double>(state, product);
}
BENCHMARK_CAPTURE(BM_FloatProduct, forward, Product::kForward)->Apply(Shapes);
BENCHMARK_CAPTURE(BM_FloatProduct, adjoint, Product::kAdjoint)->Apply(Shapes);
BENCHMARK_CAPTURE(BM_FloatProduct, norms, Product::kNorms)->Apply(Shapes);
BENCHMARK_CAPTURE(BM_DoubleProduct, forward, Product::kForward)->Apply(Shapes);
BENCHMARK_CAPTURE(BM_DoubleProduct, adjoint, Product::kAdjoint)->Apply(Shapes);

// Arguments: n, d, P, patterns selected.
void BM_Select(benchmark::State& state) {
  const int64_t p = state.range(2);
  ThreadPool pool(Threads());
  const CpuPatternOperator<float> op(
      RandomData<float>(state.range(0), static_cast<int>(state.range(1))),
      RandomPatterns(state.range(0), p, pool), pool);
  Rng rng(4);
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < state.range(3); ++i) {
    chosen.push_back(static_cast<int64_t>(rng.UniformInt(static_cast<uint64_t>(p))));
  }
  for (auto _ : state) benchmark::DoNotOptimize(op.Select(chosen));
}
BENCHMARK(BM_Select)
    ->ArgNames({"n", "d", "P", "selected"})
    ->Args({1500, 64, 5000, 20})
    ->Args({60000, 784, 5000, 20})
    ->Args({60000, 784, 5000, 300})
    ->Unit(benchmark::kMicrosecond);

// Patterns of Gaussian gates. Arguments: n, d, m.
void BM_FindPatterns(benchmark::State& state) {
  ThreadPool pool(Threads());
  const auto d = static_cast<int>(state.range(1));
  const PaddedMatrix<double> data = RandomData<double>(state.range(0), d);
  const auto source = GaussianGates({.features = d, .count = state.range(2), .seed = 5}).value();
  for (auto _ : state) {
    benchmark::DoNotOptimize(FindPatterns(data, *source, {}, pool, nullptr));
  }
  state.counters["gflops"] = benchmark::Counter(
      2e-9 * static_cast<double>(state.range(0) * state.range(1) * state.range(2)),
      benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(BM_FindPatterns)
    ->ArgNames({"n", "d", "m"})
    ->Args({1500, 64, 5000})
    ->Args({10000, 784, 2000})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace trainyard::convex_relu
BENCHMARK_MAIN();
