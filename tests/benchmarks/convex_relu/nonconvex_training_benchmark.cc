// One epoch of training a two-layer network by stochastic gradients, batches of a tenth of the
// rows, beside its floor: the three large products of each batch by oneDNN on one thread, nothing
// else. The arithmetic is 4 n d m + 6 n c m operations.
#include <benchmark/benchmark.h>
#include <dnnl.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/algorithms/convex_relu/nonconvex_training.h"
#include "core/base/random.h"
#include "core/base/thread_pool.h"

namespace trainyard::convex_relu {
namespace {

struct Shape {
  int64_t rows;
  int features;
  int outputs;
  int64_t neurons;

  int64_t batch() const { return rows / 10; }
  double operations() const {
    return static_cast<double>(rows * neurons) * (4.0 * features + 6.0 * outputs);
  }
};

constexpr Shape kShapes[] = {{1500, 64, 10, 500}, {10000, 784, 10, 2000}, {250, 50, 1, 1000}};

void FillUniform(float* values, int64_t size) {
  Rng random(1);
  for (int64_t i = 0; i < size; ++i) values[i] = static_cast<float>(random.NextDouble() - 0.5);
}

struct Problem {
  explicit Problem(const Shape& shape)
      : features(shape.rows, shape.features),
        gates(shape.neurons, shape.features),
        targets(static_cast<size_t>(shape.rows * shape.outputs)) {
    const double scale = 1 / std::sqrt(static_cast<double>(shape.rows));
    for (int64_t row = 0; row < shape.rows; ++row) {
      FillUniform(features.row(row), shape.features);
      for (int k = 0; k < shape.features; ++k) features.row(row)[k] *= static_cast<float>(scale);
    }
    for (int64_t gate = 0; gate < shape.neurons; ++gate) {
      FillUniform(gates.row(gate), shape.features);
    }
    FillUniform(targets.data(), static_cast<int64_t>(targets.size()));
    data = {.features = &features, .outputs = shape.outputs, .targets = targets};
  }

  PaddedMatrix<float> features;
  PaddedMatrix<float> gates;
  std::vector<float> targets;
  NetworkData data;
};

// Argument 0: the shape, 1: gated, 2: Adam, 3: runs side by side on as many threads. Times are
// those of training as the runs report them, without the evaluation after each epoch.
void Epoch(benchmark::State& state) {
  const Shape& shape = kShapes[state.range(0)];
  const Problem problem(shape);
  const auto threads = static_cast<int>(state.range(3));
  ThreadPool pool(threads);
  NonconvexOptions options;
  options.neurons = shape.neurons;
  options.trials = {
      {.settings = {.kind = state.range(2) == 1 ? OptimizerKind::kAdam : OptimizerKind::kSgd},
       .steps = {1e-3}}};
  for (int seed = 0; seed < threads; ++seed) options.seeds.push_back(static_cast<uint64_t>(seed));
  options.epochs = std::clamp(static_cast<int>(2e10 / shape.operations()), 1, 200);
  options.record_epochs = options.epochs;
  double seconds = 0;
  for (auto _ : state) {
    const auto runs = *TrainNonconvex(problem.data, state.range(1) == 1 ? &problem.gates : nullptr,
                                      options, {}, pool);
    double longest = 0;
    for (const NonconvexRun& run : runs) longest = std::max(longest, run.seconds);
    state.SetIterationTime(longest / options.epochs);
    seconds += longest / options.epochs;
  }
  state.counters["GFLOP/s"] =
      shape.operations() * threads * static_cast<double>(state.iterations()) / seconds * 1e-9;
}
BENCHMARK(Epoch)
    ->ArgNames({"shape", "gated", "adam", "runs"})
    ->ArgsProduct({{0, 1, 2}, {0, 1}, {0, 1}, {1}})
    ->ArgsProduct({{0, 1, 2}, {0}, {0}, {2}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// The products of an epoch: hidden = X first', slopes = R second, gradient = slopes' X.
void Floor(benchmark::State& state) {
  const Shape& shape = kShapes[state.range(0)];
  omp_set_num_threads(1);
  const int64_t b = shape.batch();
  const int64_t d = shape.features;
  const int64_t m = shape.neurons;
  const int64_t c = shape.outputs;
  std::vector<float> x(static_cast<size_t>(b * d));
  std::vector<float> first(static_cast<size_t>(m * d));
  std::vector<float> second(static_cast<size_t>(c * m));
  std::vector<float> hidden(static_cast<size_t>(b * m));
  std::vector<float> values(static_cast<size_t>(b * c));
  for (std::vector<float>* array : {&x, &first, &second, &values}) {
    FillUniform(array->data(), static_cast<int64_t>(array->size()));
  }
  const auto epoch = [&] {
    for (int64_t begin = 0; begin < shape.rows; begin += b) {
      dnnl_sgemm('N', 'T', b, m, d, 1, x.data(), d, first.data(), d, 0, hidden.data(), m);
      dnnl_sgemm('N', 'T', b, c, m, 1, hidden.data(), m, second.data(), m, 0, values.data(), c);
      dnnl_sgemm('T', 'N', c, m, b, 1, values.data(), c, hidden.data(), m, 0, second.data(), m);
      dnnl_sgemm('N', 'N', b, m, c, 1e-6F, values.data(), c, second.data(), m, 0, hidden.data(), m);
      dnnl_sgemm('T', 'N', m, d, b, 1e-6F, hidden.data(), m, x.data(), d, 0, first.data(), d);
    }
  };
  epoch();  // oneDNN compiles its kernels
  for (auto _ : state) {
    epoch();
    benchmark::DoNotOptimize(first.data());
  }
  state.counters["GFLOP/s"] =
      benchmark::Counter(shape.operations() * static_cast<double>(state.iterations()) * 1e-9,
                         benchmark::Counter::kIsRate);
}
BENCHMARK(Floor)->ArgName("shape")->DenseRange(0, 2)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace trainyard::convex_relu

BENCHMARK_MAIN();
