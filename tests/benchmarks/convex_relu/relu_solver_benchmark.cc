// C-ReLU on working sets where faces have many unknowns: by proximal steps alone, as they were
// solved above the limit of matrices, by Newton's method with conjugate gradients, and with
// matrices. Data are Gaussian, targets those of a random ReLU network.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "core/algorithms/convex_relu/cpu_pattern_operator.h"
#include "core/algorithms/convex_relu/gates.h"
#include "core/algorithms/convex_relu/relu_certificate.h"
#include "core/algorithms/convex_relu/relu_working_set.h"
#include "core/base/random.h"
#include "core/base/stopwatch.h"
#include "core/base/thread_pool.h"

namespace trainyard::convex_relu {
namespace {

int Threads() { return static_cast<int>(std::max(std::thread::hardware_concurrency(), 1U)); }

enum Steps : int64_t { kProximal, kIterative, kDense, kAsShipped };

struct PlantedProblem {
  PlantedProblem(int64_t rows, int features, int neurons, int64_t gates)
      : pool(Threads()), x(rows, features + 1) {
    Rng rng(1);
    std::vector<double> first(static_cast<size_t>(neurons * features));
    for (double& weight : first) weight = rng.NextGaussian();
    std::vector<double> second(static_cast<size_t>(neurons));
    for (double& weight : second) weight = rng.NextGaussian();
    targets.rows = rows;
    for (int64_t j = 0; j < rows; ++j) {
      for (int k = 0; k < features; ++k) x.row(j)[k] = rng.NextGaussian();
      x.row(j)[features] = 1;
      double value = 0;
      for (int i = 0; i < neurons; ++i) {
        double sum = 0;
        for (int k = 0; k < features; ++k) {
          sum += first[static_cast<size_t>(i * features + k)] * x.row(j)[k];
        }
        value += second[static_cast<size_t>(i)] * std::max(sum, 0.0);
      }
      targets.values.push_back(value);
    }
    Standardise();
    const auto source = GaussianGates({features, gates, 1}).value();
    GatePatterns found = FindPatterns(x, *source, {}, pool, nullptr).value();
    patterns = PatternBits(found.patterns.patterns(), rows);
    for (int64_t block = 0; block < found.patterns.row_blocks(); ++block) {
      for (int64_t i = 0; i < patterns.patterns(); ++i) {
        patterns.SetWord(i, block, found.patterns.PatternCodes(block)[i]);
      }
    }
    products = std::make_unique<CpuPatternOperator<double>>(x, std::move(found.patterns), pool);
  }

  // Columns of norm 1, targets of mean 0 and variance 1.
  void Standardise() {
    for (int k = 0; k < x.columns(); ++k) {
      double squares = 0;
      for (int64_t j = 0; j < x.rows(); ++j) squares += x.row(j)[k] * x.row(j)[k];
      for (int64_t j = 0; j < x.rows(); ++j) x.row(j)[k] /= std::sqrt(squares);
    }
    const double n = static_cast<double>(x.rows());
    double mean = 0;
    for (const double y : targets.values) mean += y / n;
    double squares = 0;
    for (const double y : targets.values) squares += (y - mean) * (y - mean) / n;
    for (double& y : targets.values) y = (y - mean) / std::sqrt(squares);
  }

  ThreadPool pool;
  PaddedMatrix<double> x;
  Targets targets;
  PatternBits patterns;
  std::unique_ptr<CpuPatternOperator<double>> products;
};

// lambda as a share of the least with the solution 0, in thousandths; at most 30 s.
void ReluWorkingSets(benchmark::State& state) {
  PlantedProblem problem(state.range(0), static_cast<int>(state.range(1)), 100, 1000);
  const ConeRows rows(problem.x);
  const RowLoss loss(problem.targets);
  ReluCertifier certifier(*problem.products, rows, problem.patterns, 1, problem.pool);
  ReluOptions options;
  options.lambda =
      1e-3 * static_cast<double>(state.range(2)) * LargestReluLambda(certifier, loss, {}).value();
  options.time_seconds = 30;
  options.relative_gap = 1e-6;
  const auto steps = static_cast<Steps>(state.range(3));
  if (steps == kProximal) options.newton.max_basis_numbers = 0;
  if (steps == kIterative) options.newton = {.max_dense_unknowns = 0, .iterative = true};
  if (steps == kDense) options.newton.max_dense_unknowns = std::numeric_limits<int64_t>::max();
  for (auto _ : state) {
    ReluState solved;
    benchmark::DoNotOptimize(SolveRelu(*problem.products, rows, problem.patterns, problem.pool,
                                       loss, options, solved, {})
                                 .ok());
    const ReluProgress& progress = solved.progress;
    state.counters["gap"] = progress.relative_gap;
    state.counters["sweeps"] = static_cast<double>(progress.iterations);
    state.counters["newton_steps"] = static_cast<double>(progress.newton_steps);
    int64_t unknowns = 0;
    for (size_t b = 0; b < solved.point.blocks.size(); ++b) {
      if (solved.point.IsZero(b)) continue;
      unknowns += rows.features() - static_cast<int64_t>(solved.point.active[b].rows.size());
    }
    state.counters["unknowns"] = static_cast<double>(unknowns);
    state.counters["objective"] = progress.objective;
    state.counters["blocks"] = static_cast<double>(progress.active_blocks);
  }
}
BENCHMARK(ReluWorkingSets)
    ->ArgNames({"rows", "features", "lambda_per_mille", "steps"})
    ->ArgsProduct({{10000}, {50}, {100}, {kProximal, kIterative, kDense, kAsShipped}})
    ->ArgsProduct({{250}, {50}, {3}, {kProximal, kIterative, kDense, kAsShipped}})
    ->ArgsProduct({{400}, {150}, {30}, {kProximal, kIterative, kDense, kAsShipped}})
    ->Unit(benchmark::kSecond)
    ->UseRealTime()
    ->Iterations(1);

}  // namespace
}  // namespace trainyard::convex_relu

BENCHMARK_MAIN();
