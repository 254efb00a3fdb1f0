#include "core/tensor/cuda/launch.h"
#include "core/tensor/cuda/random.h"
#include "core/tensor/kernels/philox.h"

namespace trainyard::cuda {
namespace {

constexpr int kBlockThreads = 256;

// What is made of the four words of a block of numbers.

template <typename T>
struct UniformFunction {
  static constexpr const char* kName = "uniform";
  double low;
  double width;
  TRAINYARD_DEVICE void operator()(const PhiloxBlock& block, int64_t first, int64_t elements,
                                   T* out) const {
    for (int i = 0; i < 4 && first + i < elements; ++i) {
      out[first + i] = static_cast<T>(fma(width, UniformFrom(block.words[i]), low));
    }
  }
};

template <typename T>
struct NormalFunction {
  static constexpr const char* kName = "normal";
  double mean;
  double deviation;
  TRAINYARD_DEVICE void operator()(const PhiloxBlock& block, int64_t first, int64_t elements,
                                   T* out) const {
    for (int i = 0; i < 4 && first + i < elements; i += 2) {
      const NormalPair pair = NormalsFrom(block.words[i], block.words[i + 1]);
      out[first + i] = static_cast<T>(fma(deviation, pair.first, mean));
      if (first + i + 1 < elements) {
        out[first + i + 1] = static_cast<T>(fma(deviation, pair.second, mean));
      }
    }
  }
};

template <typename T>
struct DropoutFunction {
  static constexpr const char* kName = "dropout";
  const T* x;
  double rate;
  T factor;
  bool accumulate;
  TRAINYARD_DEVICE void operator()(const PhiloxBlock& block, int64_t first, int64_t elements,
                                   T* out) const {
    for (int i = 0; i < 4 && first + i < elements; ++i) {
      const T kept = UniformFrom(block.words[i]) < rate ? T(0) : x[first + i] * factor;
      out[first + i] = accumulate ? out[first + i] + kept : kept;
    }
  }
};

template <typename T, typename Function>
struct RandomKernel {
  static constexpr const char* kName = Function::kName;
  static constexpr int kThreads = kBlockThreads;
  static constexpr bool kSynchronizes = false;
  RandomArguments arguments;
  Function function;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const uint64_t stream = arguments.stream + *arguments.stream_offset;
    const int64_t step = context.blocks() * kThreads;
    for (int64_t i = context.block() * kThreads + context.thread(); 4 * i < arguments.elements;
         i += step) {
      function(Philox(arguments.seed, stream, static_cast<uint64_t>(i)), 4 * i, arguments.elements,
               static_cast<T*>(arguments.out));
    }
  }
};

template <typename T, typename Function>
void LaunchFunction(Platform& platform, const RandomArguments& arguments,
                    const Function& function) {
  Launch(platform, Grid{BlocksFor(CeilDivide(arguments.elements, 4), kBlockThreads)},
         RandomKernel<T, Function>{arguments, function});
}

struct SetWordKernel {
  static constexpr const char* kName = "set_word";
  static constexpr int kThreads = 32;
  static constexpr bool kSynchronizes = false;
  uint64_t value;
  uint64_t* word;
  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    if (context.thread() == 0) *word = value;
  }
};

}  // namespace

template <typename T>
void LaunchUniform(Platform& platform, const RandomArguments& arguments, double low, double high) {
  LaunchFunction<T>(platform, arguments, UniformFunction<T>{low, high - low});
}
template void LaunchUniform<float>(Platform&, const RandomArguments&, double, double);
template void LaunchUniform<double>(Platform&, const RandomArguments&, double, double);

template <typename T>
void LaunchNormal(Platform& platform, const RandomArguments& arguments, double mean,
                  double deviation) {
  LaunchFunction<T>(platform, arguments, NormalFunction<T>{mean, deviation});
}
template void LaunchNormal<float>(Platform&, const RandomArguments&, double, double);
template void LaunchNormal<double>(Platform&, const RandomArguments&, double, double);

template <typename T>
void LaunchDropout(Platform& platform, const RandomArguments& arguments, double rate, const void* x,
                   bool accumulate) {
  LaunchFunction<T>(platform, arguments,
                    DropoutFunction<T>{static_cast<const T*>(x), rate,
                                       static_cast<T>(1 / (1 - rate)), accumulate});
}
template void LaunchDropout<float>(Platform&, const RandomArguments&, double, const void*, bool);
template void LaunchDropout<double>(Platform&, const RandomArguments&, double, const void*, bool);

void SetWord(Platform& platform, uint64_t value, uint64_t* word) {
  Launch(platform, Grid{}, SetWordKernel{value, word});
}

}  // namespace trainyard::cuda
