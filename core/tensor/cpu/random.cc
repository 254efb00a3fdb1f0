#include <algorithm>
#include <cmath>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/cpu/parallel_ranges.h"
#include "core/tensor/kernels/philox.h"
#include "core/tensor/kernels/random_kernels.h"

namespace trainyard {
namespace {

// Calls function(block, first, count) for every block of four numbers.
template <typename Function>
void ForBlocks(CpuDevice& device, RandomStream stream, int64_t elements, int64_t grain,
               const Function& function) {
  ParallelRanges(device.threads(), (elements + 3) / 4, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const PhiloxBlock block = Philox(stream.seed, stream.stream, static_cast<uint64_t>(i));
      function(block, 4 * i, static_cast<int>(std::min<int64_t>(4, elements - 4 * i)));
    }
  });
}

class CpuRandomKernels : public RandomKernels {
 public:
  explicit CpuRandomKernels(CpuDevice& device) : device_(device) {}

  void Uniform(RandomStream stream, double low, double high, const Tensor& out) override {
    DispatchFloating(out.dtype(), "uniform", [&]<typename T>() {
      T* const to = out.data<T>();
      ForBlocks(device_, stream, out.elements(), 4096,
                [&](const PhiloxBlock& block, int64_t first, int count) {
                  for (int i = 0; i < count; ++i) {
                    to[first + i] =
                        static_cast<T>(std::fma(high - low, UniformFrom(block.words[i]), low));
                  }
                });
    });
  }

  void Normal(RandomStream stream, double mean, double deviation, const Tensor& out) override {
    DispatchFloating(out.dtype(), "normal", [&]<typename T>() {
      T* const to = out.data<T>();
      ForBlocks(device_, stream, out.elements(), 256,
                [&](const PhiloxBlock& block, int64_t first, int count) {
                  for (int i = 0; i < count; i += 2) {
                    const NormalPair pair = NormalsFrom(block.words[i], block.words[i + 1]);
                    to[first + i] = static_cast<T>(std::fma(deviation, pair.first, mean));
                    if (i + 1 == count) break;
                    to[first + i + 1] = static_cast<T>(std::fma(deviation, pair.second, mean));
                  }
                });
    });
  }

  void Dropout(RandomStream stream, double rate, const Tensor& x, const Tensor& y,
               bool accumulate) override {
    DispatchFloating(x.dtype(), "dropout", [&]<typename T>() {
      const T* const from = x.data<T>();
      T* const to = y.data<T>();
      const T factor = static_cast<T>(1 / (1 - rate));
      ForBlocks(device_, stream, x.elements(), 4096,
                [&](const PhiloxBlock& block, int64_t first, int count) {
                  for (int i = 0; i < count; ++i) {
                    const T kept =
                        UniformFrom(block.words[i]) < rate ? T(0) : from[first + i] * factor;
                    to[first + i] = accumulate ? to[first + i] + kept : kept;
                  }
                });
    });
  }

 private:
  CpuDevice& device_;
};

}  // namespace

std::unique_ptr<RandomKernels> MakeCpuRandomKernels(CpuDevice& device) {
  return std::make_unique<CpuRandomKernels>(device);
}

}  // namespace trainyard
