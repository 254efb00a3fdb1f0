// Growth of whole forests. CPU time is that of all threads. tests/peers/forest_times.py measures
// scikit-learn on the same data beside it.
//
//   friedman1: 100 000 rows, 20 features, full trees, a third of the features per node
//   credit: the first 20 000 rows of credit_card.csv in the folder TRAINYARD_PEER_DATA, sqrt
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <numeric>
#include <vector>

#include "core/data/table.h"
#include "core/trees/forest.h"
#include "tests/benchmarks/trees/friedman1.h"

namespace trainyard {
namespace {

// Of all threads.
double CpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Data {
  std::vector<std::vector<double>> x;
  std::vector<double> y;
  std::vector<int32_t> classes;

  std::vector<FeatureColumn> columns() const {
    std::vector<FeatureColumn> columns;
    for (const std::vector<double>& column : x) columns.push_back(FeatureColumn::Numeric(column));
    return columns;
  }
  size_t rows() const { return x.empty() ? 0 : x[0].size(); }
  TreeTarget target() const {
    return classes.empty() ? TreeTarget::Regression(y) : TreeTarget::Classification(classes, 2);
  }
};

// Empty when the table is not at hand.
Data ReadCredit(size_t rows) {
  Data data;
  const char* const folder = std::getenv("TRAINYARD_PEER_DATA");
  if (folder == nullptr) return data;
  const auto table = ReadTable(std::filesystem::path(folder) / "credit_card.csv", {}, {}, 1);
  if (!table.ok()) return data;
  const int target = static_cast<int>((*table)->schema().columns_size()) - 1;
  for (int c = 0; c <= target; ++c) {
    const std::span<const double> numbers = (*table)->numbers(c).first(rows);
    if (c < target) {
      data.x.emplace_back(numbers.begin(), numbers.end());
    } else {
      data.classes.assign(numbers.begin(), numbers.end());
    }
  }
  return data;
}

void FitForest(benchmark::State& state, const Data& data, v1::ForestOptions::Kind kind, bool oob) {
  if (data.rows() == 0) {
    state.SkipWithError("set TRAINYARD_PEER_DATA to the folder of credit_card.csv");
    return;
  }
  ThreadPool pool(static_cast<int>(state.range(0)));
  v1::CartOptions cart;
  cart.set_min_samples_split(2);
  cart.set_min_samples_leaf(1);
  v1::ForestOptions options;
  options.set_kind(kind);
  options.set_tree_count(static_cast<int32_t>(state.range(1)));
  options.set_max_samples(1);
  options.set_oob(oob);
  std::vector<int64_t> table_rows(data.rows());
  std::iota(table_rows.begin(), table_rows.end(), int64_t{0});
  std::vector<uint32_t> rows(data.rows());
  std::iota(rows.begin(), rows.end(), uint32_t{0});
  const std::vector<FeatureColumn> columns = data.columns();
  const OobRequest request = {v1::HierarchicalShrinkageSpec::SCHEME_HIERARCHICAL,
                              {0, 0.1, 1, 10, 25, 50, 100, 200, 500}};
  double leaves = 0;
  // The longest time between two questions whether to go on: one cancelled waits so long at most.
  using Clock = std::chrono::steady_clock;
  std::atomic<Clock::rep> asked = Clock::now().time_since_epoch().count();
  std::atomic<Clock::rep> longest = 0;
  ForestHooks hooks;
  hooks.check = [&] {
    const Clock::rep now = Clock::now().time_since_epoch().count();
    const Clock::rep gap = now - asked.exchange(now);
    if (gap > longest) longest = gap;
    return absl::OkStatus();
  };
  for (auto _ : state) {
    const auto features = PresortedFeatures::Build(columns, table_rows, pool, {});
    asked = Clock::now().time_since_epoch().count();
    const auto forest = GrowForest({*features, data.target(), {}, rows}, cart, options, request, 1,
                                   {}, pool, hooks);
    leaves = 0;
    for (const Tree& tree : forest->trees) leaves += tree.leaf_count();
  }
  state.counters["leaves"] = leaves;
  state.counters["longest_gap_ms"] =
      std::chrono::duration<double, std::milli>(Clock::duration(longest)).count();
}

const Data& Friedman() {
  static const auto* const data = new Data{Friedman1::Get().x, Friedman1::Get().y, {}};
  return *data;
}

// Nine strengths for every tree of the forest, beside the time of its growth.
void PathOfFriedman1(benchmark::State& state) {
  const Data& data = Friedman();
  ThreadPool pool(static_cast<int>(state.range(0)));
  const std::vector<FeatureColumn> columns = data.columns();
  const auto features = PresortedFeatures::Build(columns, Friedman1::Get().table_rows, pool, {});
  v1::ForestOptions options;
  options.set_kind(v1::ForestOptions::KIND_RANDOM_FOREST);
  options.set_tree_count(static_cast<int32_t>(state.range(1)));
  options.set_max_samples(1);
  v1::CartOptions cart;
  cart.set_min_samples_split(2);
  cart.set_min_samples_leaf(1);
  const double start = CpuSeconds();
  const auto forest = GrowForest({*features, data.target(), {}, Friedman1::Get().rows}, cart,
                                 options, {}, 1, {}, pool, {});
  const double growth = CpuSeconds() - start;
  const std::vector<double> lambdas = {0, 0.1, 1, 10, 25, 50, 100, 200, 500};
  std::vector<std::vector<double>> paths(static_cast<size_t>(pool.threads()));
  int64_t nodes = 0;
  for (const Tree& tree : forest->trees) nodes += tree.node_count();
  double cpu = 0;
  for (auto _ : state) {
    cpu -= CpuSeconds();
    pool.Run(static_cast<int64_t>(forest->trees.size()), [&](int64_t i, int thread) {
      std::vector<double>& path = paths[static_cast<size_t>(thread)];
      ShrinkagePath(forest->trees[static_cast<size_t>(i)],
                    v1::HierarchicalShrinkageSpec::SCHEME_HIERARCHICAL, lambdas, path);
      benchmark::DoNotOptimize(path.data());
    });
    cpu += CpuSeconds();
  }
  state.SetItemsProcessed(state.iterations() * nodes);
  state.counters["growth_s"] = growth;
  state.counters["share_of_growth"] = cpu / static_cast<double>(state.iterations()) / growth;
}

const Data& Credit() {
  static const auto* const data = new Data(ReadCredit(20'000));
  return *data;
}

void RandomForestOfFriedman1(benchmark::State& state) {
  FitForest(state, Friedman(), v1::ForestOptions::KIND_RANDOM_FOREST, false);
}
void RandomForestOfFriedman1WithOob(benchmark::State& state) {
  FitForest(state, Friedman(), v1::ForestOptions::KIND_RANDOM_FOREST, true);
}
void ExtraTreesOfFriedman1(benchmark::State& state) {
  FitForest(state, Friedman(), v1::ForestOptions::KIND_EXTRA_TREES, false);
}
void RandomForestOfCredit(benchmark::State& state) {
  FitForest(state, Credit(), v1::ForestOptions::KIND_RANDOM_FOREST, false);
}
void ExtraTreesOfCredit(benchmark::State& state) {
  FitForest(state, Credit(), v1::ForestOptions::KIND_EXTRA_TREES, false);
}

void Configure(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"threads", "trees"})->Args({2, 100})->Args({1, 10});
  benchmark->Iterations(1)->Unit(benchmark::kMillisecond);
  benchmark->MeasureProcessCPUTime()->UseRealTime();
}
BENCHMARK(RandomForestOfFriedman1)->Apply(Configure);
BENCHMARK(RandomForestOfFriedman1WithOob)->Apply(Configure);
BENCHMARK(ExtraTreesOfFriedman1)->Apply(Configure);
BENCHMARK(PathOfFriedman1)
    ->ArgNames({"threads", "trees"})
    ->Args({2, 100})
    ->Args({1, 10})
    ->Iterations(5)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime();
BENCHMARK(RandomForestOfCredit)->Apply(Configure);
BENCHMARK(ExtraTreesOfCredit)->Apply(Configure);

}  // namespace
}  // namespace trainyard

BENCHMARK_MAIN();
