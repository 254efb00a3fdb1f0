#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/cpu/parallel_ranges.h"
#include "core/tensor/kernels/position_kernels.h"

namespace trainyard {
namespace {

// base^(-i / count) for i < count.
std::vector<double> Frequencies(double base, int64_t count) {
  std::vector<double> frequencies(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    frequencies[i] = std::pow(base, -static_cast<double>(i) / static_cast<double>(count));
  }
  return frequencies;
}

template <typename T>
void RotateVector(const RotaryArguments& arguments, const double* cosines, const double* sines,
                  int64_t half, const T* x, T* out) {
  const bool neighbors = arguments.pairing == RotaryPairing::kNeighbors;
  for (int64_t i = 0; i < half; ++i) {
    const int64_t first = neighbors ? 2 * i : i;
    const int64_t second = neighbors ? 2 * i + 1 : i + half;
    const T cosine = static_cast<T>(cosines[i]);
    const T sine = static_cast<T>(sines[i]);
    const T a = x[first] * cosine - x[second] * sine;
    const T b = x[first] * sine + x[second] * cosine;
    out[first] = arguments.accumulate ? out[first] + a : a;
    out[second] = arguments.accumulate ? out[second] + b : b;
  }
}

// All vectors of one position of one sequence.
template <typename T>
void RotatePosition(const RotaryArguments& arguments, const double* cosines, const double* sines,
                    const T* x, T* out, int axis) {
  const Tensor& from = arguments.x;
  if (axis == from.rank() - 1) {
    return RotateVector(arguments, cosines, sines, from.size(axis) / 2, x, out);
  }
  for (int64_t i = 0; i < from.size(axis); ++i) {
    RotatePosition(arguments, cosines, sines, x + i * from.stride(axis),
                   out + i * arguments.out.stride(axis), axis + 1);
  }
}

template <typename T>
void RotaryTyped(CpuDevice& device, const RotaryArguments& arguments) {
  const auto& [x, out, positions, first, base, pairing, inverse, accumulate] = arguments;
  const int64_t n = x.size(1);
  const int64_t half = x.size(-1) / 2;
  if (x.elements() == 0) return;
  const std::vector<double> frequencies = Frequencies(base, half);
  const int64_t vectors = x.size(0) * n;
  std::vector<double> table(static_cast<size_t>(2 * half * vectors));
  ParallelRanges(device.threads(), vectors, 4096 / half + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t sequence = i / n;
      const int64_t at = i % n;
      const double position = static_cast<double>(
          arguments.positions.defined()
              ? arguments.positions.data<int32_t>()[sequence * arguments.positions.stride(0) +
                                                    at * arguments.positions.stride(1)]
              : arguments.first + at);
      double* const cosines = table.data() + 2 * half * i;
      double* const sines = cosines + half;
      for (int64_t j = 0; j < half; ++j) {
        cosines[j] = std::cos(position * frequencies[j]);
        sines[j] = (arguments.inverse ? -1 : 1) * std::sin(position * frequencies[j]);
      }
      RotatePosition(
          arguments, cosines, sines,
          arguments.x.data<T>() + sequence * arguments.x.stride(0) + at * arguments.x.stride(1),
          arguments.out.data<T>() + sequence * arguments.out.stride(0) +
              at * arguments.out.stride(1),
          2);
    }
  });
}

class CpuPositionKernels : public PositionKernels {
 public:
  explicit CpuPositionKernels(CpuDevice& device) : device_(device) {}

  void Rotary(const RotaryArguments& arguments) override {
    DispatchFloating(arguments.x.dtype(), "rotary",
                     [&]<typename T>() { RotaryTyped<T>(device_, arguments); });
  }

  void Sinusoid(int64_t first, double base, const Tensor& out) override {
    const int64_t half = out.size(1) / 2;
    const std::vector<double> frequencies = Frequencies(base, half);
    DispatchFloating(out.dtype(), "sinusoid", [&]<typename T>() {
      for (int64_t i = 0; i < out.size(0); ++i) {
        T* const row = out.data<T>() + i * out.stride(0);
        for (int64_t j = 0; j < half; ++j) {
          const double angle = static_cast<double>(first + i) * frequencies[j];
          row[j * out.stride(1)] = static_cast<T>(std::sin(angle));
          row[(half + j) * out.stride(1)] = static_cast<T>(std::cos(angle));
        }
      }
    });
  }

  void Toeplitz(const Tensor& w, const Tensor& out) override {
    DispatchFloating(out.dtype(), "toeplitz", [&]<typename T>() {
      const int64_t m = out.size(1);
      for (int64_t i = 0; i < out.size(0); ++i) {
        T* const row = out.data<T>() + i * out.stride(0);
        for (int64_t j = 0; j < m; ++j) {
          row[j * out.stride(1)] = w.data<T>()[(i - j + m - 1) * w.stride(0)];
        }
      }
    });
  }

  void ToeplitzBackward(const Tensor& d, const Tensor& dw) override {
    DispatchFloating(d.dtype(), "toeplitz", [&]<typename T>() {
      const int64_t n = d.size(1);
      const int64_t m = d.size(2);
      ParallelRanges(device_.threads(), n + m - 1, 64, [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; ++k) {
          double sum = 0;
          for (int64_t b = 0; b < d.size(0); ++b) {
            for (int64_t i = std::max<int64_t>(0, k - m + 1); i <= std::min(n - 1, k); ++i) {
              sum += d.data<T>()[b * d.stride(0) + i * d.stride(1) + (i - k + m - 1) * d.stride(2)];
            }
          }
          dw.data<T>()[k * dw.stride(0)] += static_cast<T>(sum);
        }
      });
    });
  }

 private:
  CpuDevice& device_;
};

}  // namespace

std::unique_ptr<PositionKernels> MakeCpuPositionKernels(CpuDevice& device) {
  return std::make_unique<CpuPositionKernels>(device);
}

}  // namespace trainyard
