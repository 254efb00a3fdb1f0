// Growth, cross-validation, shrinkage and application of one full tree on Friedman's first
// function, 100 000 rows and 20 features, each beside a floor that does only the memory traffic.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "core/algorithms/hierarchical_shrinkage/cross_validation.h"
#include "core/data/split.h"
#include "core/trees/cart.h"
#include "core/trees/shrinkage.h"
#include "core/trees/tree_predictor.h"
#include "tests/benchmarks/trees/friedman1.h"

namespace trainyard {
namespace {

constexpr size_t kRows = Friedman1::kRows;
constexpr size_t kFeatures = Friedman1::kFeatures;

v1::CartOptions FullTree() {
  v1::CartOptions options;
  options.set_criterion(v1::CartOptions::CRITERION_SQUARED_ERROR);
  options.set_min_samples_split(2);
  options.set_min_samples_leaf(1);
  return options;
}

Tree Fit(ThreadPool& pool) {
  const Friedman1& data = Friedman1::Get();
  const auto features = PresortedFeatures::Build(data.columns, data.table_rows, pool, {});
  return *GrowCart(*features, TreeTarget::Regression(data.y), {}, data.rows, FullTree(), pool, {});
}

void FullCart(benchmark::State& state) {
  Friedman1::Get();
  ThreadPool pool(static_cast<int>(state.range(0)));
  int leaves = 0;
  for (auto _ : state) leaves = Fit(pool).leaf_count();
  state.counters["leaves"] = leaves;
}
BENCHMARK(FullCart)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

// Copies all orders (8 bytes per row and feature) once for every level that a row passes on
// average.
void FullCartFloor(benchmark::State& state) {
  ThreadPool pool(2);
  const Tree tree = Fit(pool);
  const std::vector<int32_t> depths = tree.NodeDepths();
  double levels = 0;
  for (int t = 0; t < tree.node_count(); ++t) {
    if (tree.is_leaf(t)) {
      levels += tree.weight[static_cast<size_t>(t)] * depths[static_cast<size_t>(t)] / kRows;
    }
  }
  std::vector<OrderEntry> from(kRows * kFeatures);
  std::vector<OrderEntry> to(kRows * kFeatures);
  for (auto _ : state) {
    for (int level = 0; level < static_cast<int>(levels); ++level) {
      std::memcpy(to.data(), from.data(), from.size() * sizeof(OrderEntry));
      benchmark::DoNotOptimize(to.data());
      benchmark::ClobberMemory();
    }
  }
  state.counters["levels"] = levels;
}
BENCHMARK(FullCartFloor)->Unit(benchmark::kMillisecond)->UseRealTime();

// Sorting the features alone.
void Presort(benchmark::State& state) {
  const Friedman1& data = Friedman1::Get();
  ThreadPool pool(static_cast<int>(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(PresortedFeatures::Build(data.columns, data.table_rows, pool, {}));
  }
}
BENCHMARK(Presort)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

// Three folds, nine strengths, the final fit and its shrinkage; `fits` is the time in plain fits.
void CrossValidatedShrinkage(benchmark::State& state) {
  const Friedman1& data = Friedman1::Get();
  ThreadPool pool(static_cast<int>(state.range(0)));
  v1::HierarchicalShrinkageSpec spec;
  *spec.mutable_cart() = FullTree();
  spec.set_folds(3);
  for (const double lambda : {0.0, 0.1, 1.0, 10.0, 25.0, 50.0, 100.0, 200.0, 500.0}) {
    spec.add_lambda_grid(lambda);
  }
  const std::vector<double> lambdas(spec.lambda_grid().begin(), spec.lambda_grid().end());
  LearnerInput input;
  input.data = {data.columns, data.table_rows, TreeTarget::Regression(data.y), {}};
  input.training_count = kRows;
  const std::vector<int32_t> folds = *AssignFolds(kRows, {}, {}, 3, 0);
  for (auto _ : state) {
    const auto learner = *MakeBaseLearner(spec, input, pool, {});
    std::vector<std::vector<double>> losses;
    for (int fold = 0; fold < 3; ++fold) {
      std::vector<uint32_t> inside;
      std::vector<uint32_t> outside;
      for (uint32_t i = 0; i < kRows; ++i) (folds[i] == fold ? inside : outside).push_back(i);
      FitTask task;
      task.rows = outside;
      const FittedTrees fitted = *learner->Fit(task, {}, {});
      losses.push_back(*learner->LossPath(fitted.ensemble, task, inside, lambdas, {}));
    }
    const Choice choice = ChooseCandidate({lambdas, {}}, SummarizeFolds(losses));
    FitTask task;
    task.rows = data.rows;
    FittedTrees fitted = *learner->Fit(task, {}, {});
    Shrink(spec.scheme(), choice.lambda, fitted.ensemble.trees.front());
    benchmark::DoNotOptimize(fitted.ensemble.trees.front().value.data());
  }
}
BENCHMARK(CrossValidatedShrinkage)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

void ShrinkOnePath(benchmark::State& state) {
  ThreadPool pool(2);
  const Tree tree = Fit(pool);
  const std::vector<double> lambdas = {0, 0.1, 1, 10, 25, 50, 100, 200, 500};
  std::vector<double> path;
  for (auto _ : state) {
    ShrinkagePath(tree, v1::HierarchicalShrinkageSpec::SCHEME_HIERARCHICAL, lambdas, path);
    benchmark::DoNotOptimize(path.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * tree.node_count());
}
BENCHMARK(ShrinkOnePath)->Unit(benchmark::kMillisecond);

// Reading weights, means and children and writing nine values for every node of the same tree.
void ShrinkOnePathFloor(benchmark::State& state) {
  ThreadPool pool(2);
  const Tree tree = Fit(pool);
  const size_t nodes = tree.feature.size();
  std::vector<double> path(9 * nodes);
  for (auto _ : state) {
    for (size_t t = 0; t < nodes; ++t) {
      const double value = tree.weight[t] + tree.mean[t] + tree.left[t] + tree.right[t];
      std::fill_n(path.data() + 9 * t, 9, value);
    }
    benchmark::DoNotOptimize(path.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * tree.node_count());
}
BENCHMARK(ShrinkOnePathFloor)->Unit(benchmark::kMillisecond);

// Rows a second and core, full tree and tree of 30 leaves.
void Predict(benchmark::State& state) {
  const Friedman1& data = Friedman1::Get();
  ThreadPool pool(2);
  const auto features = PresortedFeatures::Build(data.columns, data.table_rows, pool, {});
  v1::CartOptions options = FullTree();
  options.set_max_leaf_nodes(static_cast<int32_t>(state.range(0)));
  const Tree tree =
      *GrowCart(*features, TreeTarget::Regression(data.y), {}, data.rows, options, pool, {});
  const TreePredictor predictor({&tree, 1}, TreeCombination::kMean);
  std::vector<double> values(kRows);
  for (auto _ : state) {
    predictor.Predict(data.columns, 0, values);
    benchmark::DoNotOptimize(values.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRows));
}
BENCHMARK(Predict)
    ->ArgName("max_leaf_nodes")
    ->Arg(0)
    ->Arg(30)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// Rows a second and core through a forest of full trees, 1.2M nodes per ten of them.
void PredictForest(benchmark::State& state) {
  const Friedman1& data = Friedman1::Get();
  ThreadPool pool(2);
  const auto features = PresortedFeatures::Build(data.columns, data.table_rows, pool, {});
  std::vector<Tree> trees;
  for (int t = 0; t < state.range(0); ++t) {
    std::mt19937_64 random(static_cast<uint64_t>(t));
    std::vector<double> counts(kRows, 0);
    for (size_t i = 0; i < kRows; ++i) counts[random() % kRows] += 1;
    trees.push_back(*GrowCart(*features, TreeTarget::Regression(data.y), counts, data.rows,
                              FullTree(), pool, {}));
  }
  const TreePredictor predictor(trees, TreeCombination::kMean);
  std::vector<double> values(kRows);
  for (auto _ : state) {
    predictor.Predict(data.columns, 0, values);
    benchmark::DoNotOptimize(values.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRows));
}
BENCHMARK(PredictForest)
    ->ArgName("trees")
    ->Arg(10)
    ->Arg(100)
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime();

// As many walks down complete trees of 2^17 - 1 nodes of 8 bytes, 17 steps each, sides chosen by
// the nodes and by bits of the row: the loads that wait for each other, 256 walks in turn, and
// nothing else. PredictForest takes 19.1 steps on average.
void PredictForestFloor(benchmark::State& state) {
  constexpr int kDepth = 17;
  constexpr size_t kWalks = 256;
  std::mt19937_64 random(1);
  std::vector<std::vector<uint64_t>> trees(static_cast<size_t>(state.range(0)));
  for (std::vector<uint64_t>& nodes : trees) {
    for (size_t i = 0; i < (size_t{1} << kDepth); ++i) nodes.push_back(random());
  }
  std::vector<uint64_t> bits(kRows);
  for (uint64_t& own : bits) own = random();
  for (auto _ : state) {
    for (const std::vector<uint64_t>& nodes : trees) {
      for (size_t first = 0; first < kRows; first += kWalks) {
        const size_t count = std::min(kWalks, kRows - first);
        uint32_t at[kWalks];
        std::fill_n(at, count, 1);
        for (int step = 0; step < kDepth - 1; ++step) {
          for (size_t i = 0; i < count; ++i) {
            const uint64_t side = (nodes[at[i]] ^ bits[first + i] >> step) & 1;
            at[i] = 2 * at[i] + static_cast<uint32_t>(side);
            __builtin_prefetch(&nodes[at[i]]);
          }
        }
        uint64_t sum = 0;
        for (size_t i = 0; i < count; ++i) sum += nodes[at[i]];
        benchmark::DoNotOptimize(sum);
      }
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRows));
}
BENCHMARK(PredictForestFloor)
    ->ArgName("trees")
    ->Arg(10)
    ->Arg(100)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime();

// Reading every value once.
void PredictFloor(benchmark::State& state) {
  const Friedman1& data = Friedman1::Get();
  for (auto _ : state) {
    double sum = 0;
    for (const std::vector<double>& column : data.x) {
      sum = std::accumulate(column.begin(), column.end(), sum);
    }
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRows));
}
BENCHMARK(PredictFloor)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace trainyard

BENCHMARK_MAIN();
