// A training step of an MLP of 1024, 4096 and 1024 units on 512 rows, beside its floor: the five
// matrix products of the step by oneDNN, nothing else.
#include <benchmark/benchmark.h>
#include <dnnl.h>
#include <omp.h>

#include <vector>

#include "core/nn/layers/feed_forward.h"
#include "core/nn/ops/losses.h"
#include "core/nn/optim/optimizer.h"
#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/kernels/random_kernels.h"
#include "tests/benchmarks/tensor/compare.h"

namespace trainyard::nn {
namespace {

constexpr int64_t kRows = 512;
constexpr int64_t kWidth = 1024;
constexpr int64_t kHidden = 4096;

// x W1, h W2, and the gradients of W2, h and W1 (nobody needs that of x).
class Products {
 public:
  void Run() {
    Multiply('N', 'N', kRows, kHidden, kWidth, x_, w_, h_);
    Multiply('N', 'N', kRows, kWidth, kHidden, h_, w_, x_);
    Multiply('T', 'N', kHidden, kWidth, kRows, h_, x_, w_);
    Multiply('N', 'T', kRows, kHidden, kWidth, x_, w_, h_);
    Multiply('T', 'N', kWidth, kHidden, kRows, x_, h_, w_);
  }
  static double flops() { return 5 * 2.0 * kRows * kWidth * kHidden; }

 private:
  static void Multiply(char ta, char tb, int64_t m, int64_t n, int64_t k,
                       const std::vector<float>& a, const std::vector<float>& b,
                       std::vector<float>& c) {
    dnnl_sgemm(ta, tb, m, n, k, 1, a.data(), ta == 'N' ? k : m, b.data(), tb == 'N' ? n : k, 0,
               c.data(), n);
  }
  std::vector<float> x_ = std::vector<float>(kRows * kWidth, 1e-3F);
  std::vector<float> h_ = std::vector<float>(kRows * kHidden, 1e-3F);
  std::vector<float> w_ = std::vector<float>(kWidth * kHidden, 1e-3F);
};

// Counters as Compare's: `ratio` is the share of the products in the step. Without the optimiser it
// is that of forward and backward pass.
void BM_MlpStep(benchmark::State& state, bool optimizes) {
  const int threads = static_cast<int>(state.range(0));
  CpuDevice device(threads);
  ParameterSet parameters(device, 1);
  const std::vector<int64_t> widths = {kWidth, kHidden, kWidth};
  const Mlp mlp(parameters, "mlp", widths);
  Optimizer optimizer(parameters, {});
  const Tensor x = Tensor::Empty(device, {kRows, kWidth});
  const Tensor y = Tensor::Empty(device, {kRows, kWidth});
  device.random().Normal({1, 1}, 0, 1, x);
  device.random().Normal({1, 2}, 0, 1, y);
  Products products;
  Compare(
      state, Products::flops(),
      [&] {
        parameters.ClearGradients();
        Backward(SquaredError(mlp(x, nullptr), y));
        if (optimizes) optimizer.Step(1e-4);
      },
      [&] {
        omp_set_num_threads(threads);
        products.Run();
      });
}
void Threads(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("threads")->Arg(1)->Arg(2)->UseManualTime()->Iterations(20)->Unit(
      benchmark::kMillisecond);
}
BENCHMARK_CAPTURE(BM_MlpStep, gradients, false)->Apply(Threads);
BENCHMARK_CAPTURE(BM_MlpStep, with_adamw, true)->Apply(Threads);

}  // namespace
}  // namespace trainyard::nn
