// Explanations of a forest of 100 trees of depth 8 on 8 features (the size of the usual California
// housing benchmark), each beside the floor of its arithmetic.
#include <benchmark/benchmark.h>

#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "core/trees/cart.h"
#include "core/trees/explain/interventional_shap.h"
#include "core/trees/explain/path_shap.h"
#include "core/trees/explain/shap_interactions.h"

namespace trainyard {
namespace {

constexpr size_t kRows = 20'640;
constexpr size_t kFeatures = 8;
constexpr int kTrees = 100;
constexpr int kDepth = 8;

struct Forest {
  std::vector<std::vector<double>> x;
  std::vector<FeatureColumn> columns;
  TreeEnsemble ensemble;
  int64_t nodes = 0;

  Forest() : x(kFeatures, std::vector<double>(kRows)) {
    std::mt19937_64 random(1);
    std::uniform_real_distribution<double> uniform(0, 1);
    std::normal_distribution<double> noise(0, 1);
    std::vector<double> y(kRows);
    for (size_t i = 0; i < kRows; ++i) {
      for (std::vector<double>& column : x) column[i] = uniform(random);
      y[i] = 10 * std::sin(3 * x[0][i] * x[1][i]) + 20 * (x[2][i] - 0.5) * (x[2][i] - 0.5) +
             10 * x[3][i] + 5 * x[4][i] * x[5][i] + 3 * x[6][i] + 2 * x[7][i] + noise(random);
    }
    for (const std::vector<double>& column : x) columns.push_back(FeatureColumn::Numeric(column));
    std::vector<int64_t> table_rows(kRows);
    std::vector<uint32_t> rows(kRows);
    std::iota(table_rows.begin(), table_rows.end(), int64_t{0});
    std::iota(rows.begin(), rows.end(), uint32_t{0});
    ThreadPool pool(2);
    const auto features = PresortedFeatures::Build(columns, table_rows, pool, {});
    v1::CartOptions options;
    options.set_criterion(v1::CartOptions::CRITERION_SQUARED_ERROR);
    options.set_min_samples_split(2);
    options.set_min_samples_leaf(1);
    options.set_max_depth(kDepth);
    for (int t = 0; t < kTrees; ++t) {
      std::vector<double> weights(kRows, 0.0);
      for (size_t i = 0; i < kRows; ++i) weights[random() % kRows] += 1;
      ensemble.trees.push_back(
          *GrowCart(*features, TreeTarget::Regression(y), weights, rows, options, pool, {}));
      nodes += ensemble.trees.back().node_count();
    }
  }

  static const Forest& Get() {
    static const auto* const forest = new Forest();
    return *forest;
  }
};

// The time per row stands under "per_row"; compare CPU times.
void SetRowTime(benchmark::State& state, int64_t rows) {
  state.counters["per_row"] =
      benchmark::Counter(static_cast<double>(rows), benchmark::Counter::kIsIterationInvariantRate |
                                                        benchmark::Counter::kInvert);
}

void PathDependent(benchmark::State& state) {
  const Forest& forest = Forest::Get();
  StopToken stop({});
  const PathShap shap(forest.ensemble, kFeatures, stop);
  ThreadPool pool(static_cast<int>(state.range(1)));
  const int64_t rows = state.range(0);
  std::vector<double> values(static_cast<size_t>(rows) * kFeatures);
  for (auto _ : state) {
    if (!shap.Explain(forest.columns, 0, rows, pool, stop, values).ok()) return;
    benchmark::DoNotOptimize(values.data());
  }
  state.counters["nodes"] = static_cast<double>(forest.nodes);
  SetRowTime(state, rows);
}
BENCHMARK(PathDependent)
    ->ArgNames({"rows", "threads"})
    ->Args({1, 1})
    ->Args({16, 1})
    ->Args({4096, 1})
    ->Args({4096, 2})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime();

// The arithmetic alone, on numbers that stay in registers: for each inner node and node of the
// quadrature four fused multiply-adds and four other operations in each lane.
__attribute__((target_clones("arch=x86-64-v4", "default"))) double Arithmetic(int64_t steps) {
  using Vector = double __attribute__((vector_size(64)));
  // Chains enough to hide the latency of each operation; two vectors are one block of rows.
  constexpr int kChains = 8;
  constexpr int kVectors = kShapLanes / 8;
  Vector product[kChains];
  Vector sum[kChains];
  Vector total[kChains];
  for (int c = 0; c < kChains; ++c) {
    product[c] = 1.0 - Vector{};
    sum[c] = 0.5 - Vector{};
    total[c] = Vector{};
  }
  for (int64_t i = 0; i < steps * kVectors; i += kChains) {
    for (int c = 0; c < kChains; ++c) {
      const Vector share = 0.25 + product[c] * 0.5;
      const Vector difference = sum[c] - share;
      total[c] += product[c] * 0.125 * difference;
      sum[c] = share + share * difference;
      product[c] = product[c] * (share + sum[c] * 0.0625);
    }
  }
  double result = 0;
  for (int c = 0; c < kChains; ++c) {
    for (int lane = 0; lane < 8; ++lane) result += total[c][lane] + product[c][lane];
  }
  return result;
}

void PathDependentFloor(benchmark::State& state) {
  const Forest& forest = Forest::Get();
  int64_t steps = 0;
  StopToken stop({});
  for (const PathPlan& plan : PathShap(forest.ensemble, kFeatures, stop).plans()) {
    steps += static_cast<int64_t>(plan.nodes.size()) * plan.points;
  }
  for (auto _ : state) benchmark::DoNotOptimize(Arithmetic(steps));
  SetRowTime(state, kShapLanes);
}
BENCHMARK(PathDependentFloor)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();

// Rows against `background` others, by walks (`rows` to explain: none) or tables.
void Interventional(benchmark::State& state) {
  const Forest& forest = Forest::Get();
  constexpr int64_t kExplained = 64;
  StopToken stop({});
  const InterventionalShap shap(forest.ensemble, kFeatures, forest.columns, 10'000, state.range(0),
                                state.range(1), stop);
  ThreadPool pool(1);
  std::vector<double> values(kExplained * kFeatures);
  for (auto _ : state) {
    if (!shap.Explain(forest.columns, 0, kExplained, pool, stop, values).ok()) return;
    benchmark::DoNotOptimize(values.data());
  }
  SetRowTime(state, kExplained);
}
BENCHMARK(Interventional)
    ->ArgNames({"background", "rows"})
    ->Args({1, 0})
    ->Args({100, 0})
    ->Args({1, 100'000})
    ->Args({100, 100'000})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime();

// Making the tables.
void InterventionalTables(benchmark::State& state) {
  const Forest& forest = Forest::Get();
  StopToken stop({});
  for (auto _ : state) {
    benchmark::DoNotOptimize(InterventionalShap(forest.ensemble, kFeatures, forest.columns, 10'000,
                                                state.range(0), 100'000, stop));
  }
}
BENCHMARK(InterventionalTables)
    ->ArgName("background")
    ->Arg(1)
    ->Arg(100)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime();

void Interactions(benchmark::State& state) {
  const Forest& forest = Forest::Get();
  constexpr int64_t kExplained = 256;
  StopToken stop({});
  const ShapInteractions shap(forest.ensemble, kFeatures, stop);
  ThreadPool pool(1);
  std::vector<double> values(kExplained * kFeatures * kFeatures);
  for (auto _ : state) {
    if (!shap.Explain(forest.columns, 0, kExplained, pool, stop, values).ok()) return;
    benchmark::DoNotOptimize(values.data());
  }
  SetRowTime(state, kExplained);
}
BENCHMARK(Interactions)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();

}  // namespace
}  // namespace trainyard

BENCHMARK_MAIN();
