// Convolutions beside one product of oneDNN with as many multiplications, on one thread.
#include <benchmark/benchmark.h>
#include <dnnl.h>
#include <omp.h>

#include <random>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/kernels/convolution_kernels.h"
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

// Arguments: batch, length, channels in and out, width, threads.
void BM_Convolution(benchmark::State& state, bool backward) {
  const int64_t batch = state.range(0);
  const int64_t length = state.range(1);
  const int64_t in = state.range(2);
  const int64_t out = state.range(3);
  const int64_t width = state.range(4);
  CpuDevice device(static_cast<int>(state.range(5)));
  Convolution1dArguments arguments;
  arguments.x = RandomTensor(device, {batch, length, in});
  arguments.w = RandomTensor(device, {width, in, out});
  arguments.bias = RandomTensor(device, {out});
  arguments.y = RandomTensor(device, {batch, length, out});
  arguments.pad_left = (width - 1) / 2;
  const Tensor dx = RandomTensor(device, {batch, length, in});
  const Tensor dw = RandomTensor(device, {width, in, out});
  const Tensor windows = RandomTensor(device, {batch * length, width * in});
  const double products = backward ? 2 : 1;
  Compare(
      state, 2.0 * products * static_cast<double>(batch * length * in * out * width),
      [&] {
        if (backward) {
          device.convolution().Convolve1dBackward(arguments, arguments.y, dx, false, dw, Tensor());
        } else {
          device.convolution().Convolve1d(arguments);
        }
      },
      [&] {
        omp_set_num_threads(1);
        for (int i = 0; i < static_cast<int>(products); ++i) {
          dnnl_sgemm('N', 'N', batch * length, out, width * in, 1, windows.data<float>(),
                     width * in, arguments.w.data<float>(), out, 0, arguments.y.data<float>(), out);
        }
      });
}

void Shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"batch", "length", "in", "out", "width", "threads"});
  for (const int threads : {1, 2}) {
    benchmark->Args({32, 256, 128, 128, 3, threads});
    benchmark->Args({32, 256, 512, 512, 4, threads});
    benchmark->Args({64, 512, 8, 64, 7, threads});
  }
  benchmark->UseManualTime()->Iterations(20);
}

BENCHMARK_CAPTURE(BM_Convolution, forward, false)->Apply(Shapes);
BENCHMARK_CAPTURE(BM_Convolution, backward, true)->Apply(Shapes);

}  // namespace
}  // namespace trainyard
