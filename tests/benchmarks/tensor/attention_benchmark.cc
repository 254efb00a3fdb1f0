// Attention on the CPU against the rate of matrix products. Operations are the useful ones: scores
// below the diagonal only, and no recomputation, so that a backward pass counts twice the forward
// one. `of_gemm`: their rate over that of SerialGemm times the number of threads, by the clock on
// the wall; `of_gemm_processor`: the same by processor time, which other programs on the machine
// disturb less.
#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "benchmark/benchmark.h"
#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/mixed_chunk_decoder.h"
#include "core/tensor/kernels/attention_kernels.h"
#include "tests/benchmarks/tensor/gemm_rate.h"

namespace trainyard {
namespace {

constexpr int kThreads = 2;

CpuDevice& BenchmarkDevice() {
  static CpuDevice& device = *new CpuDevice(kThreads);
  return device;
}

Tensor Random(const Shape& shape) {
  static std::mt19937_64 random(7);
  std::vector<float> values(static_cast<size_t>(shape.elements()));
  std::normal_distribution<float> normal(0, 1);
  for (float& value : values) value = normal(random);
  return Tensor::FromValues<float>(BenchmarkDevice(), shape, values);
}

template <typename Work>
void Report(benchmark::State& state, double operations, Work&& work) {
  work();
  LeastTime least{1e30, 1e30};
  GemmRate gemm = MeasureGemmRate();
  for (auto _ : state) {
    const LeastTime time = Measure(1, work);
    least.wall = std::min(least.wall, time.wall);
    least.processor = std::min(least.processor, time.processor);
  }
  const GemmRate after = MeasureGemmRate();
  gemm.wall = std::max(gemm.wall, after.wall);
  gemm.processor = std::max(gemm.processor, after.processor);
  state.counters["ms"] = least.wall * 1e3;
  state.counters["processor_ms"] = least.processor * 1e3;
  state.counters["GFLOPS"] = operations / least.wall * 1e-9;
  state.counters["of_gemm"] = operations / least.wall / (kThreads * gemm.wall);
  state.counters["of_gemm_processor"] = operations / least.processor / gemm.processor;
}

// Heads of width 64 as they come out of one projection: [1, n, 4 * 64].
struct Softmax {
  explicit Softmax(int64_t n, bool causal) {
    const auto heads = [&] { return Random({1, n, 4, 64}).Transposed(1, 2); };
    arguments = {.q = heads(), .k = heads(), .v = heads(), .out = heads()};
    arguments.logsumexp = Random({1, 4, n});
    arguments.scale = 0.125;
    arguments.causal = causal;
    gradients = {.dout = heads(), .dq = heads(), .dk = heads(), .dv = heads()};
  }
  double operations() const {
    const auto n = static_cast<double>(arguments.q.size(2));
    const double scores = arguments.causal ? n * (n + 1) / 2 : n * n;
    return 2.0 * 4 * scores * (64 + 64);
  }
  AttentionArguments arguments;
  AttentionGradients gradients;
};

void BM_Attend(benchmark::State& state) {
  const Softmax softmax(state.range(0), state.range(1) != 0);
  Report(state, softmax.operations(),
         [&] { BenchmarkDevice().attention().Attend(softmax.arguments); });
}

void BM_AttendBackward(benchmark::State& state) {
  const Softmax softmax(state.range(0), state.range(1) != 0);
  BenchmarkDevice().attention().Attend(softmax.arguments);
  Report(state, 2 * softmax.operations(), [&] {
    BenchmarkDevice().attention().AttendBackward(softmax.arguments, softmax.gradients);
  });
}

// FLASH's layer at d = 256: e = 512, s = 128, chunks of 256; 8192 tokens, or one sequence.
struct Mixed {
  explicit Mixed(int64_t n, bool causal, bool quadratic = false) {
    constexpr int64_t kTokens = 8192;
    const int64_t batch = std::max<int64_t>(kTokens / n, 1);
    const Tensor heads = Random({batch, n, 4, 128});
    const Tensor dheads = Random({batch, n, 4, 128});
    const auto values = [&] { return Random({batch, n, 512}); };
    arguments.quad_q = heads.Select(2, 0);
    arguments.quad_k = heads.Select(2, 1);
    arguments.lin_q = heads.Select(2, 2);
    arguments.lin_k = heads.Select(2, 3);
    arguments.v = values();
    arguments.gate = values();
    arguments.out = values();
    arguments.ungated = values();
    arguments.chunk = quadratic ? n : 256;
    if (!quadratic) arguments.bias = Random({256, 256});
    arguments.global = !quadratic;
    arguments.causal = causal;
    arguments.scale_qk = 1 / std::sqrt(128.0);
    arguments.scale_a = 1.0 / 256;
    gradients = {.dout = values(),
                 .dquad_q = dheads.Select(2, 0),
                 .dquad_k = dheads.Select(2, 1),
                 .dlin_q = dheads.Select(2, 2),
                 .dlin_k = dheads.Select(2, 3),
                 .dv = values(),
                 .dgate = values()};
    if (!quadratic) gradients.dbias = Random({256, 256});
  }
  double operations() const {
    const auto tokens = static_cast<double>(arguments.v.size(0) * arguments.v.size(1));
    const auto chunk = static_cast<double>(std::min(arguments.chunk, arguments.v.size(1)));
    const double keys = arguments.causal ? (chunk + 1) / 2 : chunk;
    // Under a causal mask the first chunk sees no other and the last is seen by none.
    const double chunks = static_cast<double>(arguments.v.size(1)) / chunk;
    const double linked = arguments.causal ? (chunks - 1) / chunks : 1;
    return 2.0 * tokens * (keys * (128 + 512) + (arguments.global ? linked * 2.0 * 128 * 512 : 0));
  }
  MixedChunkArguments arguments;
  MixedChunkGradients gradients;
};

void BM_MixedChunk(benchmark::State& state) {
  const Mixed mixed(state.range(0), state.range(1) != 0);
  Report(state, mixed.operations(),
         [&] { BenchmarkDevice().attention().MixedChunk(mixed.arguments); });
}

void BM_MixedChunkBackward(benchmark::State& state) {
  const Mixed mixed(state.range(0), state.range(1) != 0);
  BenchmarkDevice().attention().MixedChunk(mixed.arguments);
  Report(state, 2 * mixed.operations(), [&] {
    BenchmarkDevice().attention().MixedChunkBackward(mixed.arguments, mixed.gradients);
  });
}

void BM_Quadratic(benchmark::State& state) {
  const Mixed mixed(state.range(0), true, true);
  Report(state, mixed.operations(),
         [&] { BenchmarkDevice().attention().MixedChunk(mixed.arguments); });
}

void BM_QuadraticBackward(benchmark::State& state) {
  const Mixed mixed(state.range(0), true, true);
  BenchmarkDevice().attention().MixedChunk(mixed.arguments);
  Report(state, 2 * mixed.operations(), [&] {
    BenchmarkDevice().attention().MixedChunkBackward(mixed.arguments, mixed.gradients);
  });
}

// One sequence of the same layer, token by token: 256 tokens, so that all fillings of the open
// chunk take part. The floor is the reading of what a token needs: the sum of states and half a
// chunk.
void BM_Decode(benchmark::State& state) {
  constexpr int64_t kTokens = 256;
  CpuDevice& device = BenchmarkDevice();
  MixedChunkDecoder decoder(device, {.s = 128, .e = 512, .bias = Random({256, 256})});
  const int64_t position = state.range(0);
  decoder.Append(0, Random({position, 128}), Random({position, 128}), Random({position, 512}));
  const Tensor s = Random({1, 128});
  const Tensor e = Random({1, 512});
  const MixedChunkToken token = {
      .quad_q = s, .quad_k = s, .lin_q = s, .lin_k = s, .v = e, .gate = e, .out = Random({1, 512})};
  LeastTime least{1e30, 1e30};
  for (auto _ : state) {
    const LeastTime time = Measure(1, [&] {
      for (int64_t i = 0; i < kTokens; ++i) decoder.Step(token);
    });
    least.wall = std::min(least.wall, time.wall);
    least.processor = std::min(least.processor, time.processor);
  }
  const double bytes = 4.0 * (128 * 512 + 128 * (128 + 512));
  state.counters["us_a_token"] = least.processor * 1e6 / kTokens;
  state.counters["GB_a_second"] = bytes * kTokens / least.processor * 1e-9;
  state.counters["state_MB"] = static_cast<double>(decoder.StateBytes()) * 1e-6;
}

BENCHMARK(BM_Decode)->ArgName("position")->Arg(300)->Arg(20000)->UseRealTime();
BENCHMARK(BM_Attend)
    ->ArgNames({"n", "causal"})
    ->ArgsProduct({{512, 2048, 8192}, {1, 0}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK(BM_AttendBackward)
    ->ArgNames({"n", "causal"})
    ->ArgsProduct({{512, 2048, 8192}, {1, 0}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK(BM_MixedChunk)
    ->ArgNames({"n", "causal"})
    ->ArgsProduct({{512, 1024, 2048, 4096, 8192, 65536}, {1, 0}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK(BM_MixedChunkBackward)
    ->ArgNames({"n", "causal"})
    ->ArgsProduct({{512, 1024, 2048, 4096, 8192, 65536}, {1, 0}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK(BM_Quadratic)
    ->ArgName("n")
    ->Arg(512)
    ->Arg(2048)
    ->Arg(8192)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK(BM_QuadraticBackward)
    ->ArgName("n")
    ->Arg(512)
    ->Arg(2048)
    ->Arg(8192)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace trainyard

BENCHMARK_MAIN();
