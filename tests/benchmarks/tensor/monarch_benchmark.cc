// Monarch layers beside the dense layer of the same outer shape, on our own matrix products.
// `ratio` is the speed-up; the bound is n^2 / (parameters), b/2 for squares.
#include <benchmark/benchmark.h>

#include <random>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/kernels/matmul_kernels.h"
#include "core/tensor/kernels/structured_kernels.h"
#include "tests/benchmarks/tensor/compare.h"

namespace trainyard {
namespace {

constexpr int64_t kBatch = 512;

Tensor RandomTensor(Device& device, const Shape& shape) {
  Tensor tensor = Tensor::Empty(device, shape);
  std::minstd_rand generator(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (int64_t i = 0; i < tensor.elements(); ++i) tensor.data<float>()[i] = uniform(generator);
  return tensor;
}

// A square layer of either kind with its gradients.
struct Layers {
  Layers(Device& on, int64_t n, int64_t blocks)
      : device(on),
        w(RandomTensor(on, {n, n})),
        dw(RandomTensor(on, {n, n})),
        monarch{RandomTensor(on, {kBatch, n}),
                RandomTensor(on, {blocks, n / blocks, n / blocks}),
                RandomTensor(on, {blocks, n / blocks, n / blocks}),
                RandomTensor(on, {n}),
                RandomTensor(on, {kBatch, n}),
                RandomTensor(on, {kBatch, n})},
        gradients{RandomTensor(on, {kBatch, n}),
                  RandomTensor(on, {kBatch, n}),
                  false,
                  RandomTensor(on, monarch.w1.shape()),
                  RandomTensor(on, monarch.w2.shape()),
                  RandomTensor(on, {n})} {}

  void Product(const Tensor& a, const Tensor& b, const Tensor& out, bool accumulate,
               const Tensor& bias = Tensor()) {
    MatmulArguments arguments;
    arguments.a = a;
    arguments.b = b;
    arguments.out = out;
    arguments.accumulate = accumulate;
    arguments.bias = bias;
    device.matmul().Matmul(arguments);
  }
  void Dense() { Product(monarch.x, w.Transposed(), monarch.y, false, monarch.bias); }
  void DenseBackward() {
    Product(gradients.dy, w, gradients.dx, false);
    Product(gradients.dy.Transposed(), monarch.x, dw, true);
  }
  void Monarch() { device.structured().Monarch(monarch); }
  void MonarchBackward() { device.structured().MonarchBackward(monarch, gradients); }

  Device& device;
  Tensor w;
  Tensor dw;
  MonarchArguments monarch;
  MonarchGradients gradients;
};

// Arguments: n, blocks, threads.
void BM_Forward(benchmark::State& state) {
  CpuDevice device(static_cast<int>(state.range(2)));
  const int64_t n = state.range(0);
  Layers layers(device, n, state.range(1));
  Compare(
      state, 4.0 * static_cast<double>(kBatch * n * (n / state.range(1))),
      [&] { layers.Monarch(); }, [&] { layers.Dense(); });
}

void BM_ForwardBackward(benchmark::State& state) {
  CpuDevice device(static_cast<int>(state.range(2)));
  const int64_t n = state.range(0);
  Layers layers(device, n, state.range(1));
  Compare(
      state, 12.0 * static_cast<double>(kBatch * n * (n / state.range(1))),
      [&] {
        layers.Monarch();
        layers.MonarchBackward();
      },
      [&] {
        layers.Dense();
        layers.DenseBackward();
      });
}

void Shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"n", "b", "threads"});
  for (const int threads : {1, 2}) {
    for (const auto& [n, b] : {std::pair{1024, 4}, {1024, 32}, {4096, 4}, {4096, 64}}) {
      benchmark->Args({n, b, threads});
    }
  }
  benchmark->UseManualTime()->Iterations(15);
}

BENCHMARK(BM_Forward)->Apply(Shapes);
BENCHMARK(BM_ForwardBackward)->Apply(Shapes);

}  // namespace
}  // namespace trainyard

BENCHMARK_MAIN();
