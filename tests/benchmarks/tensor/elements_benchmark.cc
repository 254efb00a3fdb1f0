// Kernels of elements and rows on the CPU, with two threads, against the machine's own rate.
//
// Large tensors: bytes that must be moved (each input read and each output written once) in a
// second, and their ratio to the better of a plain copy and a plain sum of two arrays, written past
// the caches, measured between the repetitions (`of_memory`). Tensors in the caches: elements in a
// nanosecond. Both by the best repetition, as other programs on the machine only ever slow down.
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <random>
#include <vector>

#include "benchmark/benchmark.h"
#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/parallel_ranges.h"
#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/kernels/embedding_kernels.h"
#include "core/tensor/kernels/loss_kernels.h"
#include "core/tensor/kernels/norm_kernels.h"
#include "core/tensor/kernels/optimizer_kernels.h"
#include "core/tensor/kernels/position_kernels.h"
#include "core/tensor/kernels/random_kernels.h"
#include "core/tensor/kernels/reduction_kernels.h"

namespace trainyard {
namespace {

constexpr int64_t kRows = 16384;
constexpr int64_t kColumns = 1024;
constexpr int kRepetitions = 15;

CpuDevice& TheDevice() {
  static CpuDevice& device = *new CpuDevice(2);
  return device;
}

double Seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Tensor Random(const Shape& shape) {
  Tensor result = Tensor::Empty(TheDevice(), shape);
  static uint64_t stream = 0;
  TheDevice().random().Normal({.seed = 1, .stream = ++stream}, 0, 1, result);
  return result;
}

// The floor: c = a, and c = a + b, for arrays of 64 MiB.
class Memory {
 public:
  static double BytesPerSecond() {
    static const Memory& memory = *new Memory();
    const double copy = Seconds([] { memory.Run<false>(); });
    const double sum = Seconds([] { memory.Run<true>(); });
    return std::max(2 * memory.a_.bytes() / copy, 3 * memory.a_.bytes() / sum);
  }

 private:
  template <bool sum>
  void Run() const {
    ParallelRanges(TheDevice().threads(), a_.elements(), 65536, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i += 8) {
        __m256 value = _mm256_load_ps(a_.data<float>() + i);
        if (sum) value = _mm256_add_ps(value, _mm256_load_ps(b_.data<float>() + i));
        _mm256_stream_ps(c_.data<float>() + i, value);
      }
      _mm_sfence();
    });
  }

  const Tensor a_ = Random({kRows, kColumns});
  const Tensor b_ = Random({kRows, kColumns});
  const Tensor c_ = Random({kRows, kColumns});
};

// Runs `work`, which moves `bytes`, and the floor by turns.
void AgainstMemory(benchmark::State& state, double bytes, const std::function<void()>& work) {
  double best = 1e30;
  double floor = 0;
  work();
  for (auto _ : state) {
    for (int i = 0; i < kRepetitions; ++i) {
      best = std::min(best, Seconds(work));
      floor = std::max(floor, Memory::BytesPerSecond());
    }
  }
  state.counters["ms"] = best * 1e3;
  state.counters["GB/s"] = bytes / best * 1e-9;
  state.counters["of_memory"] = bytes / best / floor;
}

// What fits the caches: `elements` a call.
void InCache(benchmark::State& state, int64_t elements, const std::function<void()>& work) {
  double best = 1e30;
  const int calls = static_cast<int>(std::max<int64_t>(20, 2'000'000 / elements));
  for (auto _ : state) {
    for (int i = 0; i < 2 * kRepetitions; ++i) {
      best = std::min(best, Seconds([&] {
                              for (int call = 0; call < calls; ++call) work();
                            }) / calls);
    }
  }
  state.counters["us"] = best * 1e6;
  state.counters["per_ns"] = elements / best * 1e-9;
}

using Case =
    std::pair<const char*, std::function<std::function<void()>(int64_t, int64_t, double&)>>;

// Each makes the work on [rows, columns] and says how many times the tensor's bytes it moves.
std::vector<Case> Elementwise() {
  ElementwiseKernels& kernels = TheDevice().elementwise();
  const auto unary = [&kernels](UnaryOp op) {
    return [&kernels, op](int64_t n, int64_t d, double& streams) {
      streams = 2;
      return [&kernels, op, x = Random({n, d}), y = Random({n, d})] { kernels.Unary(op, x, y); };
    };
  };
  const auto backward = [&kernels](UnaryOp op) {
    return [&kernels, op](int64_t n, int64_t d, double& streams) {
      streams = 3;
      return [&kernels, op, x = Random({n, d}), dy = Random({n, d}), dx = Random({n, d})] {
        kernels.UnaryBackward(op, x, dy, dx, false);
      };
    };
  };
  const auto binary = [&kernels](BinaryOp op, bool row, bool column) {
    return [&kernels, op, row, column](int64_t n, int64_t d, double& streams) {
      streams = row || column ? 2 : 3;
      const Tensor b = Random({row ? 1 : n, column ? 1 : d}).BroadcastTo({n, d});
      return [&kernels, op, a = Random({n, d}), b, c = Random({n, d})] {
        kernels.Binary(op, a, b, c);
      };
    };
  };
  return {
      {"Copy",
       [&kernels](int64_t n, int64_t d, double& streams) {
         streams = 2;
         return [&kernels, x = Random({n, d}), y = Random({n, d})] { kernels.Copy(x, y); };
       }},
      {"Transpose",
       [&kernels](int64_t n, int64_t d, double& streams) {
         streams = 2;
         return [&kernels, x = Random({d, n}).Transposed(), y = Random({n, d})] {
           kernels.Copy(x, y);
         };
       }},
      {"Fill",
       [&kernels](int64_t n, int64_t d, double& streams) {
         streams = 1;
         return [&kernels, y = Random({n, d})] { kernels.Fill(1, y); };
       }},
      {"Accumulate",
       [&kernels](int64_t n, int64_t d, double& streams) {
         streams = 3;
         return [&kernels, x = Random({n, d}), y = Random({n, d})] {
           kernels.Affine(x, 0.5, 0, y, true);
         };
       }},
      {"Add", binary(BinaryOp::kAdd, false, false)},
      {"AddRow", binary(BinaryOp::kAdd, true, false)},
      {"AddColumn", binary(BinaryOp::kAdd, false, true)},
      {"Relu", unary(UnaryOp::kRelu)},
      {"Exp", unary(UnaryOp::kExp)},
      {"Log", unary(UnaryOp::kLog)},
      {"Tanh", unary(UnaryOp::kTanh)},
      {"Sigmoid", unary(UnaryOp::kSigmoid)},
      {"Silu", unary(UnaryOp::kSilu)},
      {"Gelu", unary(UnaryOp::kGelu)},
      {"Sin", unary(UnaryOp::kSin)},
      {"GeluBackward", backward(UnaryOp::kGelu)},
      {"BiasGelu",
       [&kernels](int64_t n, int64_t d, double& streams) {
         streams = 3;
         return
             [&kernels, x = Random({n, d}), bias = Random({d}), pre = Random({n, d}),
              y = Random({n, d})] { kernels.BiasActivation(x, bias, Activation::kGelu, pre, y); };
       }},
      {"BiasGeluBackward",
       [&kernels](int64_t n, int64_t d, double& streams) {
         streams = 3;
         return [&kernels, pre = Random({n, d}), dbias = Random({d}), dy = Random({n, d}),
                 dx = Random({n, d})] {
           kernels.BiasActivationBackward(Activation::kGelu, pre, dy, dx, dbias, true);
         };
       }},
      {"GateBackward",
       [&kernels](int64_t n, int64_t d, double& streams) {
         streams = 5;
         return [&kernels, a = Random({n, d}), b = Random({n, d}), dy = Random({n, d}),
                 da = Random({n, d}), db = Random({n, d})] {
           kernels.GateBackward(Activation::kSilu, a, b, dy, da, db);
         };
       }},
  };
}

std::vector<Case> Rows() {
  CpuDevice& device = TheDevice();
  const auto reduce = [&device](ReduceOp op, bool rows, bool columns) {
    return [&device, op, rows, columns](int64_t n, int64_t d, double& streams) {
      streams = 1;
      return [&device, op, in = Random({n, d}), out = Random({rows ? 1 : n, columns ? 1 : d})] {
        device.reduction().Reduce(op, in, 1, out, false);
      };
    };
  };
  return {
      {"SumAll", reduce(ReduceOp::kSum, true, true)},
      {"SumOfRows", reduce(ReduceOp::kSum, false, true)},
      {"SumOfColumns", reduce(ReduceOp::kSum, true, false)},
      {"MaximumOfRows", reduce(ReduceOp::kMaximum, false, true)},
      {"LayerNorm",
       [&device](int64_t n, int64_t d, double& streams) {
         streams = 2;
         return [&device, x = Random({n, d}), y = Random({n, d}), gain = Random({d}),
                 mean = Random({n}), rstd = Random({n})] {
           device.norm().Normalize(NormKind::kLayer, x, gain, gain, 1e-5, y, mean, rstd);
         };
       }},
      {"LayerNormBackward",
       [&device](int64_t n, int64_t d, double& streams) {
         streams = 3;
         return [&device, x = Random({n, d}), dy = Random({n, d}), dx = Random({n, d}),
                 gain = Random({d}), mean = Random({n}), rstd = Random({n}), dgain = Random({d}),
                 dbias = Random({d})] {
           device.norm().NormalizeBackward(NormKind::kLayer, x, gain, mean, rstd, dy, dx, false,
                                           dgain, dbias);
         };
       }},
      {"Softmax",
       [&device](int64_t n, int64_t d, double& streams) {
         streams = 2;
         return [&device, x = Random({n, d}), y = Random({n, d})] { device.loss().Softmax(x, y); };
       }},
      {"CrossEntropy",
       [&device](int64_t n, int64_t d, double& streams) {
         streams = 2;
         return [&device, x = Random({n, d}), losses = Random({n}),
                 targets = Tensor::Zeros(device, {n}, DType::kInt32)] {
           device.loss().CrossEntropy(x, targets, Tensor(), 1, losses);
         };
       }},
      {"Dropout",
       [&device](int64_t n, int64_t d, double& streams) {
         streams = 2;
         return [&device, x = Random({n, d}), y = Random({n, d})] {
           device.random().Dropout({1, 1}, 0.1, x, y, false);
         };
       }},
      {"Normal",
       [&device](int64_t n, int64_t d, double& streams) {
         streams = 1;
         return [&device, y = Random({n, d})] { device.random().Normal({1, 1}, 0, 1, y); };
       }},
      {"Rotary",
       [&device](int64_t n, int64_t d, double& streams) {
         streams = 2;
         RotaryArguments arguments;
         arguments.x = Random({n / 512 + 1, 512, d / 64, 64}).Slice(0, 0, (n + 511) / 512);
         arguments.out = Random(arguments.x.shape());
         return [&device, arguments] { device.position().Rotary(arguments); };
       }},
      {"Adam",
       [&device](int64_t n, int64_t d, double& streams) {
         streams = 7;
         std::vector<OptimizerSlot> slots;
         for (int64_t i = 0; i < n; i += 64) {
           const Shape shape = {std::min<int64_t>(64, n - i), d};
           slots.push_back({Random(shape), Random(shape), Random(shape), Random(shape)});
           slots.back().second.Fill(1);
         }
         return [&device, slots] { device.optimizer().Adam(slots, {.rate = 1e-3}, Tensor()); };
       }},
      {"GlobalNorm",
       [&device](int64_t n, int64_t d, double& streams) {
         streams = 1;
         const std::vector<Tensor> tensors = {Random({n, d})};
         return [&device, tensors, norm = Tensor::Zeros(device, {1}, DType::kFloat64)] {
           device.optimizer().GlobalNorm(tensors, norm);
         };
       }},
  };
}

void Register(const std::vector<Case>& cases) {
  for (const auto& [name, make] : cases) {
    benchmark::RegisterBenchmark((std::string(name) + "/large").c_str(),
                                 [make = make](benchmark::State& state) {
                                   double streams = 0;
                                   const auto work = make(kRows, kColumns, streams);
                                   AgainstMemory(state, streams * 4 * kRows * kColumns, work);
                                 })
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
    for (const int64_t n : {1, 64, 512}) {
      benchmark::RegisterBenchmark(
          (std::string(name) + "/elements:" + std::to_string(n * 1024)).c_str(),
          [make = make, n](benchmark::State& state) {
            double streams = 0;
            const auto work = make(n, 1024, streams);
            InCache(state, n * 1024, work);
          })
          ->Iterations(1)
          ->Unit(benchmark::kMillisecond);
    }
  }
}

}  // namespace
}  // namespace trainyard

int main(int argc, char** argv) {
  trainyard::Register(trainyard::Elementwise());
  trainyard::Register(trainyard::Rows());
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
