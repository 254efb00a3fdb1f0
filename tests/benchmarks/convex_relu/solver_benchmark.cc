// Solvers of gated networks: the rate of their iterations beside oneDNN's sgemm in the same run,
// warm paths beside cold ones, and a problem of MNIST's size with its memory. Data are Gaussian
// with a decaying spectrum, targets those of a random network with noise.
#include <benchmark/benchmark.h>
#include <dnnl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "core/algorithms/convex_relu/cpu_pattern_operator.h"
#include "core/algorithms/convex_relu/gated_solver.h"
#include "core/algorithms/convex_relu/gates.h"
#include "core/base/random.h"
#include "core/base/stopwatch.h"
#include "core/base/thread_pool.h"

namespace trainyard::convex_relu {
namespace {

int Threads() { return static_cast<int>(std::max(std::thread::hardware_concurrency(), 1U)); }

// A problem with columns of unit norm; its patterns move into the operator.
template <typename Real>
struct Problem {
  Problem(int64_t rows, int columns, int64_t gates, int outputs) : pool(Threads()) {
    Rng rng(1);
    PaddedMatrix<double> x(rows, columns);
    for (int64_t j = 0; j < rows; ++j) {
      const double shared = rng.NextGaussian();
      for (int k = 0; k < columns; ++k) {
        x.row(j)[k] = k + 1 == columns ? 1 : rng.NextGaussian() / std::sqrt(1.0 + k) + 0.2 * shared;
      }
    }
    MakeTargets(x, outputs, rng);
    Normalize(x);
    const auto source = GaussianGates({columns - 1, gates, 1}).value();
    GatePatterns found = FindPatterns(x, *source, {}, pool, nullptr).value();
    PaddedMatrix<Real> data(rows, columns);
    std::transform(x.data(), x.data() + rows * x.stride(), data.data(),
                   [](double value) { return static_cast<Real>(value); });
    products = std::make_unique<CpuPatternOperator<Real>>(data, std::move(found.patterns), pool);
  }

  void MakeTargets(const PaddedMatrix<double>& x, int outputs, Rng& rng) {
    targets.rows = x.rows();
    targets.outputs = outputs;
    targets.values.resize(static_cast<size_t>(x.rows() * outputs));
    std::vector<double> first(static_cast<size_t>(10 * outputs * x.columns()));
    for (double& weight : first) weight = rng.NextGaussian();
    for (int64_t j = 0; j < x.rows(); ++j) {
      for (int o = 0; o < outputs; ++o) {
        double value = 0.1 * rng.NextGaussian();
        for (int i = 0; i < 10; ++i) {
          const double* w = first.data() + (10 * o + i) * x.columns();
          double sum = 0;
          for (int k = 0; k < x.columns(); ++k) sum += w[k] * x.row(j)[k];
          value += (i % 2 == 0 ? 1 : -1) * std::max(sum, 0.0);
        }
        targets.values[static_cast<size_t>(o * x.rows() + j)] = value;
      }
    }
  }

  static void Normalize(PaddedMatrix<double>& x) {
    for (int k = 0; k < x.columns(); ++k) {
      double squares = 0;
      for (int64_t j = 0; j < x.rows(); ++j) squares += x.row(j)[k] * x.row(j)[k];
      for (int64_t j = 0; j < x.rows(); ++j) x.row(j)[k] /= std::sqrt(squares);
    }
  }

  ThreadPool pool;
  Targets targets;
  std::unique_ptr<CpuPatternOperator<Real>> products;
};

// Operations a second of D U as numbers, the best of three.
double SgemmRate(int64_t rows, int64_t patterns, int64_t columns) {
  std::vector<float> a(static_cast<size_t>(rows * patterns), 0.5F);
  std::vector<float> b(static_cast<size_t>(patterns * columns), 0.25F);
  std::vector<float> c(static_cast<size_t>(rows * columns));
  double best = 0;
  for (int repeat = 0; repeat < 3; ++repeat) {
    const Stopwatch watch;
    dnnl_sgemm('N', 'N', rows, columns, patterns, 1, a.data(), patterns, b.data(), columns, 0,
               c.data(), columns);
    best = std::max(best, 2.0 * static_cast<double>(rows) * static_cast<double>(patterns) *
                              static_cast<double>(columns) / watch.Seconds());
  }
  return best;
}

// Iterations of R-FISTA over all patterns: one forward product a trial, one adjoint.
void Iterations(benchmark::State& state) {
  constexpr int64_t kRows = 10000;
  constexpr int kColumns = 784;
  Problem<float> problem(kRows, kColumns, 2000, 1);
  const RowLoss loss(problem.targets);
  GatedOptions options;
  options.lambda = 0.01 * LargestLambda(*problem.products, loss);
  options.working_sets = false;
  options.relative_gap = -1;
  options.rfista.subgradient_tolerance = -1;
  options.rfista.max_iterations = 30;
  double seconds = 0;
  int64_t trials = 0;
  const ProductWork before = problem.products->work();
  for (auto _ : state) {
    GatedState<float> solved;
    const Stopwatch watch;
    benchmark::DoNotOptimize(SolveGated(*problem.products, loss, options, solved, {}).ok());
    seconds += watch.Seconds();
    trials += solved.progress.iterations + solved.progress.backtracks;
  }
  const ProductWork after = problem.products->work();
  const double sgemm = SgemmRate(kRows, problem.products->patterns(), kColumns);
  const double rate = (after.operations - before.operations) / seconds;
  state.counters["gflops"] = rate * 1e-9;
  state.counters["sgemm_gflops"] = sgemm * 1e-9;
  state.counters["of_sgemm"] = rate / sgemm;
  state.counters["products_share"] = (after.seconds - before.seconds) / seconds;
  state.counters["trials"] = static_cast<double>(trials);
}
BENCHMARK(Iterations)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(2);

// Twenty penalties, each from the solution before, beside twenty solves from zero.
void WarmPath(benchmark::State& state) {
  Problem<double> problem(1500, 64, 500, 1);
  const RowLoss loss(problem.targets);
  const double largest = LargestLambda(*problem.products, loss);
  const auto path = [&](bool warm, int64_t& iterations) {
    GatedOptions options;
    options.working_sets = state.range(0) == 1;
    options.rfista.subgradient_tolerance = -1;
    options.rfista.max_iterations = 1000000;
    GatedState<double> solved;
    const Stopwatch watch;
    for (int i = 0; i < 20; ++i) {
      options.lambda = largest * std::pow(1e-2, i / 19.0);
      if (!warm) solved = GatedState<double>();
      solved.Restart();
      benchmark::DoNotOptimize(SolveGated(*problem.products, loss, options, solved, {}).ok());
      iterations += solved.progress.iterations;
    }
    return watch.Seconds();
  };
  double warm = 0;
  double cold = 0;
  int64_t warm_iterations = 0;
  int64_t cold_iterations = 0;
  for (auto _ : state) {
    warm += path(true, warm_iterations);
    cold += path(false, cold_iterations);
  }
  state.counters["warm_s"] = warm / static_cast<double>(state.iterations());
  state.counters["warm_over_cold"] = warm / cold;
  state.counters["warm_over_cold_iterations"] =
      static_cast<double>(warm_iterations) / static_cast<double>(cold_iterations);
}
BENCHMARK(WarmPath)
    ->ArgName("working_sets")
    ->Arg(1)
    ->Arg(0)
    ->Unit(benchmark::kSecond)
    ->UseRealTime()
    ->Iterations(1);

// 60 000 rows of 784 numbers, ten outputs, 5000 gates, single precision, to a gap of 1e-3.
void MnistSize(benchmark::State& state) {
  constexpr int kOutputs = 10;
  Problem<float> problem(60000, 785, 5000, kOutputs);
  const double largest = LargestLambda(*problem.products, RowLoss(problem.targets));
  for (auto _ : state) {
    double objective = 0;
    double bound = 0;
    double active = 0;
    double iterations = 0;
    for (int o = 0; o < kOutputs; ++o) {
      GatedOptions options;
      options.lambda = 0.1 * largest;
      options.relative_gap = 1e-3;
      options.rfista.subgradient_tolerance = -1;
      GatedState<float> solved;
      const RowLoss loss(problem.targets, o);
      benchmark::DoNotOptimize(SolveGated(*problem.products, loss, options, solved, {}).ok());
      objective += solved.progress.objective;
      bound += solved.progress.bound;
      active += static_cast<double>(solved.progress.active_blocks);
      iterations += static_cast<double>(solved.progress.iterations);
    }
    state.counters["gap"] = (objective - bound) / objective;
    state.counters["active"] = active;
    state.counters["iterations"] = iterations;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  state.counters["peak_GiB"] = static_cast<double>(usage.ru_maxrss) / (1 << 20);
  state.counters["gflops"] =
      problem.products->work().operations / problem.products->work().seconds * 1e-9;
}
BENCHMARK(MnistSize)->Unit(benchmark::kSecond)->UseRealTime()->Iterations(1);

}  // namespace
}  // namespace trainyard::convex_relu

BENCHMARK_MAIN();
