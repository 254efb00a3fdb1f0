// Optimal trees of two levels over a grid of sizes, and the scans that they are made of, each
// beside a floor: the same rows read in the same order with one addition for each group of
// thresholds.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "core/algorithms/quant_bnb/optimal_tree.h"
#include "core/algorithms/quant_bnb/search_node.h"
#include "core/algorithms/quant_bnb/search_problem.h"
#include "core/algorithms/quant_bnb/stump_scanner.h"
#include "core/base/random.h"
#include "core/base/thread_pool.h"

namespace trainyard {
namespace {

using quant_bnb::kLanes;
using quant_bnb::kRowMask;
using quant_bnb::SearchNode;
using quant_bnb::SearchProblem;

// Uniform features; the class, or the mean of the target, follows a tree of three levels on the
// first features. One row in ten has another class, targets have normal noise.
struct Synthetic {
  std::vector<std::vector<double>> x;
  std::vector<FeatureColumn> features;
  std::vector<int64_t> rows;
  std::vector<int32_t> classes;
  std::vector<double> values;
  int outputs = 1;

  // classes = 0: regression.
  Synthetic(size_t n, size_t p, int class_count) : x(p, std::vector<double>(n)), rows(n) {
    Rng rng(n * 1000 + p);
    for (std::vector<double>& column : x) {
      for (double& value : column) value = rng.NextDouble();
    }
    for (const std::vector<double>& column : x) features.push_back(FeatureColumn::Numeric(column));
    std::iota(rows.begin(), rows.end(), int64_t{0});
    for (size_t i = 0; i < n; ++i) {
      const int leaf = LeafOf(i);
      if (class_count == 0) {
        values.push_back(leaf + rng.NextGaussian());
        continue;
      }
      const bool noise = rng.NextDouble() < 0.1;
      classes.push_back(
          noise ? static_cast<int32_t>(rng.UniformInt(static_cast<uint64_t>(class_count)))
                : leaf % class_count);
    }
    if (class_count > 0) outputs = class_count;
  }

  int LeafOf(size_t i) const {
    const int top = x[0][i] > 0.4 ? 1 : 0;
    const int middle = x[static_cast<size_t>(1 + top) % x.size()][i] > 0.55 ? 1 : 0;
    const int bottom = x[static_cast<size_t>(3 + middle) % x.size()][i] > 0.3 ? 1 : 0;
    return 4 * top + 2 * middle + bottom;
  }

  OptimalTreeInput input() const {
    OptimalTreeInput input;
    input.features = features;
    input.rows = rows;
    input.classes = classes;
    input.values = values;
    input.outputs = outputs;
    return input;
  }
};

v1::QuantBnbSpec SpecOfDepth(int depth) {
  v1::QuantBnbSpec spec;
  spec.set_depth(depth);
  spec.set_min_samples_leaf(1);
  spec.set_split_penalty(0);
  spec.set_bound(v1::QuantBnbSpec::BOUND_POINTWISE);
  spec.set_deterministic(true);
  return spec;
}

// Arguments: rows, features, classes (0: regression), threads.
void SolveTwoLevels(benchmark::State& state) {
  const Synthetic data(static_cast<size_t>(state.range(0)), static_cast<size_t>(state.range(1)),
                       static_cast<int>(state.range(2)));
  ThreadPool pool(static_cast<int>(state.range(3)));
  const v1::QuantBnbSpec spec = SpecOfDepth(2);
  OptimalTree found;
  for (auto _ : state) {
    found = FindOptimalTree(data.input(), spec, nullptr, pool, {}).value();
    benchmark::DoNotOptimize(std::as_const(found.progress.incumbent));
  }
  state.counters["batches"] = static_cast<double>(found.progress.counters.batches());
  state.counters["loss"] = found.progress.incumbent;
}
BENCHMARK(SolveTwoLevels)
    ->ArgNames({"n", "p", "classes", "threads"})
    ->ArgsProduct({{1'000, 10'000, 100'000, 1'000'000}, {5}, {0, 2, 7}, {1, 2}})
    ->ArgsProduct({{1'000, 10'000, 100'000}, {20}, {0, 2, 7}, {1, 2}})
    ->ArgsProduct({{1'000, 10'000}, {200}, {0, 2, 7}, {1, 2}})
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);

// A node, a full batch of thresholds and the order of a child's feature.
struct Batch {
  Synthetic data;
  SearchProblem problem;
  SearchNode node;
  quant_bnb::StumpScanner scanner;
  std::vector<std::vector<int>> places;

  Batch(size_t rows, int classes)
      : data(rows, 5, classes), problem([this] {
          ThreadPool pool(1);
          return SearchProblem::Build(data.input(), SpecOfDepth(2), pool, nullptr).value();
        }()) {
    node.AssignRoot(problem);
    scanner.Assign(node);
    std::vector<quant_bnb::ThresholdGroup> groups;
    places.resize(static_cast<size_t>(scanner.max_groups()));
    for (size_t g = 0; g < places.size(); ++g) {
      for (int lane = 0; lane < kLanes; ++lane) {
        places[g].push_back(static_cast<int>(rows) * (lane + 1) / (kLanes + 1));
      }
      groups.push_back({static_cast<int>(g), places[g]});
    }
    scanner.Prepare(groups);
  }
};

// Arguments: rows, classes (0: regression). Reports thresholds evaluated per second, both sides.
void ScanOneFeature(benchmark::State& state) {
  const Batch batch(static_cast<size_t>(state.range(0)), static_cast<int>(state.range(1)));
  quant_bnb::AlignedBytes scratch;
  quant_bnb::SideLosses losses[quant_bnb::kMaxGroups];
  for (auto _ : state) {
    batch.scanner.ScanFeature(3, scratch, losses);
    benchmark::DoNotOptimize(losses[0].relaxed[0][0]);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * state.range(0) *
                          static_cast<int64_t>(batch.places.size()) * kLanes);
}
BENCHMARK(ScanOneFeature)
    ->ArgNames({"n", "classes"})
    ->ArgsProduct({{1'000, 10'000, 30'000, 100'000}, {0, 2, 7}});

// The rows in the same order, with a byte looked up and added up for each.
void FloorReadOneFeature(benchmark::State& state) {
  const Batch batch(static_cast<size_t>(state.range(0)), 2);
  const std::vector<uint16_t> codes(static_cast<size_t>(state.range(0)), 1);
  for (auto _ : state) {
    uint64_t sum = 0;
    for (const uint32_t entry : batch.node.order(3)) sum += codes[entry & kRowMask];
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * state.range(0) *
                          quant_bnb::kMaxGroups * kLanes);
}
BENCHMARK(FloorReadOneFeature)->ArgName("n")->Arg(1'000)->Arg(10'000)->Arg(30'000)->Arg(100'000);

// Both children of a threshold in the middle.
void SplitNode(benchmark::State& state) {
  const Batch batch(static_cast<size_t>(state.range(0)), 2);
  SearchNode left;
  SearchNode right;
  for (auto _ : state) {
    SearchNode::Split(batch.node, 0, batch.node.row_count() / 2, left, right);
    benchmark::DoNotOptimize(left.row_count());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * state.range(0) * 5);
}
BENCHMARK(SplitNode)->ArgName("n")->Arg(1'000)->Arg(30'000)->Arg(1'000'000);

}  // namespace
}  // namespace trainyard

BENCHMARK_MAIN();
