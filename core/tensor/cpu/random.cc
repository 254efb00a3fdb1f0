#include <algorithm>
#include <array>
#include <cmath>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/cpu/parallel_ranges.h"
#include "core/tensor/cpu/random_blocks.h"
#include "core/tensor/kernels/philox.h"
#include "core/tensor/kernels/random_kernels.h"

namespace trainyard {
namespace {

constexpr int64_t kWords = 1024;

// Calls function(words, first, count) for groups of up to kWords numbers: words[i] is that of
// element first + i. Groups begin at multiples of 4.
template <typename Function>
void ForWords(CpuDevice& device, RandomStream stream, int64_t elements, int64_t grain,
              const Function& function) {
  const PhiloxWords fill = BestPhiloxWords();
  ParallelRanges(device.threads(), elements, grain, [&](int64_t begin, int64_t end) {
    std::array<uint32_t, kWords> words;
    for (int64_t first = begin; first < end; first += kWords) {
      const int64_t count = std::min(kWords, end - first);
      fill(stream.seed, stream.stream, static_cast<uint64_t>(first / 4), (count + 3) / 4,
           words.data());
      function(words.data(), first, count);
    }
  });
}

template <typename T>
void DropRow(const uint32_t* words, int64_t count, double rate, const T* x, T* y, bool accumulate) {
  // u < rate, for u of 24 bits.
  const auto dropped = static_cast<int32_t>(std::ceil(rate * (1 << 24)));
  const T factor = static_cast<T>(1 / (1 - rate));
  if (accumulate) {
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i) {
      y[i] += static_cast<int32_t>(UniformBits(words[i])) < dropped ? T(0) : x[i] * factor;
    }
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i) {
      y[i] = static_cast<int32_t>(UniformBits(words[i])) < dropped ? T(0) : x[i] * factor;
    }
  }
}

class CpuRandomKernels : public RandomKernels {
 public:
  explicit CpuRandomKernels(CpuDevice& device) : device_(device) {}

  void Uniform(RandomStream stream, double low, double high, const Tensor& out) override {
    DispatchFloating(out.dtype(), "uniform", [&]<typename T>() {
      T* const to = out.data<T>();
      ForWords(device_, stream, out.elements(), 16384,
               [&](const uint32_t* words, int64_t first, int64_t count) {
                 for (int64_t i = 0; i < count; ++i) {
                   const double u = static_cast<int32_t>(UniformBits(words[i])) * 0x1p-24;
                   to[first + i] = static_cast<T>(std::fma(high - low, u, low));
                 }
               });
    });
  }

  void Normal(RandomStream stream, double mean, double deviation, const Tensor& out) override {
    DispatchFloating(out.dtype(), "normal", [&]<typename T>() {
      T* const to = out.data<T>();
      ForWords(device_, stream, out.elements(), 1024,
               [&](const uint32_t* words, int64_t first, int64_t count) {
                 for (int64_t i = 0; i < count; i += 2) {
                   const NormalPair pair = NormalsFrom(words[i], words[i + 1]);
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
      ForWords(device_, stream, x.elements(), 16384,
               [&](const uint32_t* words, int64_t first, int64_t count) {
                 DropRow(words, count, rate, x.data<T>() + first, y.data<T>() + first, accumulate);
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
