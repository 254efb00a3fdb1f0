// Boosting of Friedman's first function, 100 000 rows and 20 features, 100 rounds of 31 leaves, 255
// bins, beside a floor that does only the memory traffic of the histograms.
#include <benchmark/benchmark.h>

#include <numeric>
#include <vector>

#include "core/trees/boosting/boosting.h"
#include "core/trees/boosting/boosting_path.h"
#include "core/trees/boosting/histogram.h"
#include "tests/benchmarks/trees/friedman1.h"

namespace trainyard {
namespace {

constexpr size_t kRows = Friedman1::kRows;
constexpr size_t kFeatures = Friedman1::kFeatures;

BinnedFeatures Bin(ThreadPool& pool) {
  const Friedman1& data = Friedman1::Get();
  return *BinnedFeatures::Build(data.columns, data.table_rows, {}, pool, {});
}

v1::BoostingOptions Options(v1::BoostingOptions::Loss loss) {
  v1::BoostingOptions options;
  options.set_loss(loss);
  options.set_rounds(100);
  options.set_learning_rate(0.1);
  options.set_max_leaves(31);
  options.set_min_samples_leaf(20);
  options.set_min_child_weight(1e-3);
  options.set_subsample(1);
  options.set_feature_fraction(1);
  options.set_quantile_level(0.5);
  options.set_huber_quantile(0.9);
  options.set_category_smoothing(10);
  return options;
}

BoostingResult Boost(const BinnedFeatures& features, v1::BoostingOptions::Loss loss,
                     ThreadPool& pool) {
  const Friedman1& data = Friedman1::Get();
  const TreeTarget target = loss == v1::BoostingOptions::LOSS_LOGISTIC
                                ? TreeTarget::Classification(data.above, 2)
                                : TreeTarget::Regression(data.y);
  return *FitBoosting({features, target, {}, data.rows, {}, {}}, Options(loss), {}, pool, {});
}

// Bins and boosts; argument 0: threads, 1: loss.
void Boosting(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  const auto loss = static_cast<v1::BoostingOptions::Loss>(state.range(1));
  for (auto _ : state) {
    const BinnedFeatures features = Bin(pool);
    state.counters["loss"] = Boost(features, loss, pool).rounds.back().training_loss;
  }
  state.SetLabel(v1::BoostingOptions::Loss_Name(loss));
}
BENCHMARK(Boosting)
    ->ArgNames({"threads", "loss"})
    ->Args({1, v1::BoostingOptions::LOSS_SQUARED_ERROR})
    ->Args({2, v1::BoostingOptions::LOSS_SQUARED_ERROR})
    ->Args({2, v1::BoostingOptions::LOSS_LOGISTIC})
    ->Args({2, v1::BoostingOptions::LOSS_ABSOLUTE_ERROR})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

void Binning(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(Bin(pool));
}
BENCHMARK(Binning)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

// The bytes of codes and gradients that the histograms of the same ensemble are made from: all rows
// for each root, then the rows of the smaller child of every split but the last. Read in order.
void BoostingFloor(benchmark::State& state) {
  ThreadPool pool(2);
  const BinnedFeatures features = Bin(pool);
  const BoostingResult result = Boost(features, v1::BoostingOptions::LOSS_SQUARED_ERROR, pool);
  int64_t rows = 0;
  for (const Tree& tree : result.ensemble.trees) {
    rows += tree.row_count[0];
    for (size_t t = 0; t < tree.feature.size(); ++t) {
      if (tree.left[t] < 0) continue;
      rows += std::min(tree.row_count[static_cast<size_t>(tree.left[t])],
                       tree.row_count[static_cast<size_t>(tree.right[t])]);
    }
  }
  std::vector<uint64_t> codes(kRows);
  for (auto _ : state) {
    uint64_t sum = 0;
    // Per row: 8 bytes of gradient and 8 for each block of 8 features.
    int64_t words = rows * (1 + features.block_count());
    while (words > 0) {
      sum = std::accumulate(codes.begin(), codes.end(), sum);
      benchmark::DoNotOptimize(sum);
      benchmark::ClobberMemory();
      words -= static_cast<int64_t>(codes.size());
    }
  }
  state.counters["additions"] = static_cast<double>(rows) * kFeatures;
}
BENCHMARK(BoostingFloor)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();

// Sums of all rows by one thread: additions to memory a second.
void RootHistogram(benchmark::State& state) {
  ThreadPool pool(1);
  StopToken stop({});
  const Friedman1& data = Friedman1::Get();
  const BinnedFeatures features = Bin(pool);
  std::vector<int32_t> chosen(kFeatures);
  std::iota(chosen.begin(), chosen.end(), 0);
  std::vector<double> hessians(state.range(0) == 2 ? kRows : 0, 0.25);
  PackedGradients gradients;
  gradients.Pack(data.y, hessians, data.rows, pool, stop);
  const HistogramLayout layout(features, chosen, gradients.format.words);
  std::vector<int64_t> histogram(layout.size());
  HistogramBuilder builder(features, pool, stop);
  const bool contiguous = state.range(1) != 0;
  std::vector<uint32_t> rows = data.rows;
  rows.resize(kRows + kRowsReadAhead);
  for (auto _ : state) {
    builder.Fill(layout, gradients, std::span(rows).first(kRows), contiguous, histogram);
    benchmark::DoNotOptimize(histogram.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRows * kFeatures));
}
BENCHMARK(RootHistogram)
    ->ArgNames({"words", "contiguous"})
    ->ArgsProduct({{1, 2}, {0, 1}})
    ->Unit(benchmark::kMicrosecond);

// Losses of all rows for nine strengths.
void LambdaPath(benchmark::State& state) {
  ThreadPool pool(2);
  const Friedman1& data = Friedman1::Get();
  const BinnedFeatures features = Bin(pool);
  const auto loss = v1::BoostingOptions::LOSS_SQUARED_ERROR;
  const BoostingResult result = Boost(features, loss, pool);
  const std::vector<double> lambdas = {0, 0.1, 1, 10, 25, 50, 100, 200, 500};
  for (auto _ : state) {
    benchmark::DoNotOptimize(ShrinkagePathLosses(
        result.ensemble, {features, TreeTarget::Regression(data.y), {}, data.rows, data.rows, {}},
        Options(loss), v1::HierarchicalShrinkageSpec::SCHEME_HIERARCHICAL, lambdas, pool, {}));
  }
}
BENCHMARK(LambdaPath)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();

}  // namespace
}  // namespace trainyard

BENCHMARK_MAIN();
