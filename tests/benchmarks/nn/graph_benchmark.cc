// What an operation costs beside its kernel: time of tiny operations, recorded and not.
#include <benchmark/benchmark.h>

#include "core/nn/ops/arithmetic.h"
#include "core/nn/ops/matmul.h"
#include "core/nn/ops/reductions.h"
#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/kernels/elementwise_kernels.h"

namespace trainyard::nn {
namespace {

constexpr int kOperations = 100;

// The floor: the kernel alone.
void BM_KernelAlone(benchmark::State& state) {
  CpuDevice device(1);
  const Tensor x = Tensor::Zeros(device, {8});
  const Tensor y = Tensor::Zeros(device, {8});
  for ([[maybe_unused]] const auto _ : state) {
    for (int i = 0; i < kOperations; ++i) device.elementwise().Affine(x, 1, 1, y, false);
  }
  state.SetItemsProcessed(state.iterations() * kOperations);
}
BENCHMARK(BM_KernelAlone);

void BM_Forward(benchmark::State& state) {
  CpuDevice device(1);
  const NoGradScope no_grad;
  for ([[maybe_unused]] const auto _ : state) {
    Variable x = Tensor::Zeros(device, {8});
    for (int i = 0; i < kOperations; ++i) x = Affine(x, 1, 1);
    benchmark::DoNotOptimize(x);
  }
  state.SetItemsProcessed(state.iterations() * kOperations);
}
BENCHMARK(BM_Forward);

void BM_ForwardAndBackward(benchmark::State& state) {
  CpuDevice device(1);
  const Variable leaf = Variable::Leaf(Tensor::Zeros(device, {8}));
  for ([[maybe_unused]] const auto _ : state) {
    Variable x = leaf;
    for (int i = 0; i < kOperations; ++i) x = Affine(x, 1, 1);
    Backward(x);
  }
  state.SetItemsProcessed(state.iterations() * kOperations);
}
BENCHMARK(BM_ForwardAndBackward);

void BM_LinearForwardAndBackward(benchmark::State& state) {
  CpuDevice device(1);
  const Variable w = Variable::Leaf(Tensor::Zeros(device, {8, 8}));
  const Variable b = Variable::Leaf(Tensor::Zeros(device, {8}));
  const Variable x = Tensor::Zeros(device, {4, 8});
  for ([[maybe_unused]] const auto _ : state) {
    Variable y = x;
    for (int i = 0; i < kOperations; ++i) y = LinearProduct(y, w, b, Activation::kRelu);
    Backward(y);
  }
  state.SetItemsProcessed(state.iterations() * kOperations);
}
BENCHMARK(BM_LinearForwardAndBackward);

}  // namespace
}  // namespace trainyard::nn

BENCHMARK_MAIN();
