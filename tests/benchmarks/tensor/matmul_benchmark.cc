// Matrix products of tensors beside oneDNN's own split over OpenMP's threads.
#include <benchmark/benchmark.h>
#include <dnnl.h>
#include <omp.h>

#include <random>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/kernels/matmul_kernels.h"
#include "tests/benchmarks/tensor/compare.h"

namespace trainyard {
namespace {

Tensor RandomTensor(Device& device, const Shape& shape) {
  Tensor tensor = Tensor::Empty(device, shape);
  std::minstd_rand generator(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (int64_t i = 0; i < tensor.elements(); ++i) tensor.data<float>()[i] = uniform(generator);
  return tensor;
}

// Arguments: m, n, k, whether a and b are transposed, threads, threads of the floor.
void BM_Product(benchmark::State& state, Activation activation, bool bias) {
  const int64_t m = state.range(0);
  const int64_t n = state.range(1);
  const int64_t k = state.range(2);
  const bool transpose_a = state.range(3) != 0;
  const bool transpose_b = state.range(4) != 0;
  const int threads = static_cast<int>(state.range(5));
  const int floor_threads = static_cast<int>(state.range(6));
  CpuDevice device(threads);
  const Tensor a = transpose_a ? RandomTensor(device, {k, m}) : RandomTensor(device, {m, k});
  const Tensor b = transpose_b ? RandomTensor(device, {n, k}) : RandomTensor(device, {k, n});
  MatmulArguments arguments;
  arguments.a = transpose_a ? a.Transposed() : a;
  arguments.b = transpose_b ? b.Transposed() : b;
  arguments.out = RandomTensor(device, {m, n});
  arguments.activation = activation;
  if (bias) arguments.bias = RandomTensor(device, {n});
  Compare(
      state, 2.0 * static_cast<double>(m * n * k), [&] { device.matmul().Matmul(arguments); },
      [&] {
        omp_set_num_threads(floor_threads);
        dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1, a.data<float>(),
                   a.size(1), b.data<float>(), b.size(1), 0, arguments.out.data<float>(), n);
      });
}

void Shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"m", "n", "k", "ta", "tb", "threads", "floor"});
  for (const auto& [threads, floor] : {std::pair{1, 1}, {2, 1}, {2, 2}}) {
    // A layer of an MLP: forward, gradients of its input and of its weight.
    benchmark->Args({512, 4096, 1024, 0, 0, threads, floor});
    benchmark->Args({512, 1024, 4096, 0, 1, threads, floor});
    benchmark->Args({1024, 4096, 512, 1, 0, threads, floor});
    benchmark->Args({1024, 1024, 1024, 0, 0, threads, floor});
    benchmark->Args({128, 256, 256, 0, 0, threads, floor});
    benchmark->Args({128, 512, 512, 0, 1, threads, floor});
    benchmark->Args({64, 64, 64, 0, 0, threads, floor});
    benchmark->Args({8, 1024, 1024, 0, 0, threads, floor});
  }
  benchmark->UseManualTime()->Iterations(30);
}

BENCHMARK_CAPTURE(BM_Product, plain, Activation::kNone, false)->Apply(Shapes);
BENCHMARK_CAPTURE(BM_Product, bias_relu, Activation::kRelu, true)->Apply(Shapes);
BENCHMARK_CAPTURE(BM_Product, bias_gelu, Activation::kGelu, true)->Apply(Shapes);

// Arguments: products, m, n, k, threads. Many small products; the floor is a loop on one thread.
void BM_Batch(benchmark::State& state) {
  const int64_t count = state.range(0);
  const int64_t m = state.range(1);
  const int64_t n = state.range(2);
  const int64_t k = state.range(3);
  CpuDevice device(static_cast<int>(state.range(4)));
  MatmulArguments arguments;
  arguments.a = RandomTensor(device, {count, m, k});
  arguments.b = RandomTensor(device, {count, k, n});
  arguments.out = RandomTensor(device, {count, m, n});
  const float* const a = arguments.a.data<float>();
  const float* const b = arguments.b.data<float>();
  float* const out = arguments.out.data<float>();
  Compare(
      state, 2.0 * static_cast<double>(count * m * n * k),
      [&] { device.matmul().Matmul(arguments); },
      [&] {
        omp_set_num_threads(1);
        for (int64_t i = 0; i < count; ++i) {
          dnnl_sgemm('N', 'N', m, n, k, 1, a + i * m * k, k, b + i * k * n, n, 0, out + i * m * n,
                     n);
        }
      });
}

BENCHMARK(BM_Batch)
    ->ArgNames({"count", "m", "n", "k", "threads"})
    ->Args({64, 64, 64, 64, 1})
    ->Args({64, 64, 64, 64, 2})
    ->Args({512, 16, 16, 16, 2})
    ->Args({8, 256, 256, 64, 2})
    ->UseManualTime()
    ->Iterations(30);

}  // namespace
}  // namespace trainyard

BENCHMARK_MAIN();
