#include "core/tensor/cuda/convolution.h"
#include "core/tensor/cuda/launch.h"

namespace trainyard::cuda {
namespace {

constexpr int kBlockThreads = 256;

template <typename T>
struct UnfoldKernel {
  static constexpr const char* kName = "unfold";
  static constexpr int kThreads = kBlockThreads;
  static constexpr bool kSynchronizes = false;
  WindowArguments arguments;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const WindowArguments& a = arguments;
    const int64_t count = a.batch * a.length * a.width * a.channels;
    for (int64_t i = context.block() * kThreads + context.thread(); i < count;
         i += context.blocks() * kThreads) {
      const int64_t channel = i % a.channels;
      const int64_t tap = i / a.channels % a.width;
      const int64_t row = i / (a.channels * a.width);
      const int64_t from = row % a.length + tap - a.pad_left;
      const int64_t shifted = row + tap - a.pad_left;
      static_cast<T*>(a.windows)[i] =
          from >= 0 && from < a.length ? static_cast<const T*>(a.x)[shifted * a.channels + channel]
                                       : T(0);
    }
  }
};

template <typename T>
struct FoldKernel {
  static constexpr const char* kName = "fold";
  static constexpr int kThreads = kBlockThreads;
  static constexpr bool kSynchronizes = false;
  WindowArguments arguments;
  bool accumulate;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const WindowArguments& a = arguments;
    const int64_t count = a.batch * a.length * a.channels;
    for (int64_t i = context.block() * kThreads + context.thread(); i < count;
         i += context.blocks() * kThreads) {
      const int64_t channel = i % a.channels;
      const int64_t row = i / a.channels;
      T sum = T(0);
      for (int64_t tap = 0; tap < a.width; ++tap) {
        const int64_t window = row % a.length - tap + a.pad_left;
        if (window < 0 || window >= a.length) continue;
        const int64_t shifted = row - tap + a.pad_left;
        sum += static_cast<const T*>(a.windows)[(shifted * a.width + tap) * a.channels + channel];
      }
      T& x = static_cast<T*>(a.x)[i];
      x = accumulate ? x + sum : sum;
    }
  }
};

}  // namespace

template <typename T>
void LaunchUnfold(Platform& platform, const WindowArguments& arguments) {
  const int64_t count = arguments.batch * arguments.length * arguments.width * arguments.channels;
  Launch(platform, Grid{BlocksFor(count, kBlockThreads)}, UnfoldKernel<T>{arguments});
}
template void LaunchUnfold<float>(Platform&, const WindowArguments&);
template void LaunchUnfold<double>(Platform&, const WindowArguments&);

template <typename T>
void LaunchFold(Platform& platform, const WindowArguments& arguments, bool accumulate) {
  const int64_t count = arguments.batch * arguments.length * arguments.channels;
  Launch(platform, Grid{BlocksFor(count, kBlockThreads)}, FoldKernel<T>{arguments, accumulate});
}
template void LaunchFold<float>(Platform&, const WindowArguments&, bool);
template void LaunchFold<double>(Platform&, const WindowArguments&, bool);

}  // namespace trainyard::cuda
