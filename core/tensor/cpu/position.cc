#include <algorithm>
#include <cmath>
#include <tuple>
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

// Cosines and sines of the positions [0, positions()) for one base and one size of vectors, kept
// from call to call.
template <typename T>
class RotaryTable {
 public:
  // Larger positions are computed where they occur.
  static constexpr int64_t kMostPositions = 65536;

  void Prepare(CpuDevice& device, double base, int64_t half, int64_t positions) {
    if (base != base_ || half != half_) {
      base_ = base;
      half_ = half;
      positions_ = 0;
      frequencies_ = Frequencies(base, half);
    }
    positions = std::min(positions, kMostPositions);
    if (positions <= positions_) return;
    positions = std::min(kMostPositions, std::max(positions, 2 * positions_));
    values_.resize(static_cast<size_t>(2 * half * positions));
    ParallelRanges(device.threads(), positions - positions_, 4096 / half + 1,
                   [&](int64_t begin, int64_t end) {
                     for (int64_t i = positions_ + begin; i < positions_ + end; ++i) {
                       Compute(i, values_.data() + 2 * half * i);
                     }
                   });
    positions_ = positions;
  }

  // Of one position: `half` cosines, then `half` sines; `buffer` has room for them.
  const T* Of(int64_t position, T* buffer) const {
    if (position >= 0 && position < positions_) return values_.data() + 2 * half_ * position;
    Compute(position, buffer);
    return buffer;
  }

 private:
  void Compute(int64_t position, T* to) const {
    for (int64_t j = 0; j < half_; ++j) {
      const double angle = static_cast<double>(position) * frequencies_[j];
      to[j] = static_cast<T>(std::cos(angle));
      to[half_ + j] = static_cast<T>(std::sin(angle));
    }
  }

  double base_ = 0;
  int64_t half_ = 0;
  int64_t positions_ = 0;
  std::vector<double> frequencies_;
  std::vector<T> values_;
};

// Coordinates `distance` apart, one pair every `step`. Where x is out, it is so element for
// element: no pair is touched by another's turn.
template <bool accumulate, typename T>
void Rotate(const T* x, T* out, const T* turn, T sign, int64_t half, int64_t step,
            int64_t distance) {
#pragma GCC ivdep
  for (int64_t i = 0; i < half; ++i) {
    const T cosine = turn[i];
    const T sine = sign * turn[half + i];
    const T first = x[i * step];
    const T second = x[i * step + distance];
    const T a = first * cosine - second * sine;
    const T b = first * sine + second * cosine;
    out[i * step] = accumulate ? out[i * step] + a : a;
    out[i * step + distance] = accumulate ? out[i * step + distance] + b : b;
  }
}

template <typename T>
void RotateVector(const RotaryArguments& arguments, const T* turn, int64_t half, const T* x,
                  T* out) {
  const T sign = arguments.inverse ? T(-1) : T(1);
  const auto rotate = arguments.accumulate ? Rotate<true, T> : Rotate<false, T>;
  if (arguments.pairing == RotaryPairing::kHalves) {
    rotate(x, out, turn, sign, half, 1, half);
  } else {
    rotate(x, out, turn, sign, half, 2, 1);
  }
}

// All vectors of one position of one sequence.
template <typename T>
void RotatePosition(const RotaryArguments& arguments, const T* turn, const T* x, T* out, int axis) {
  const Tensor& from = arguments.x;
  if (axis == from.rank() - 1) {
    return RotateVector(arguments, turn, from.size(axis) / 2, x, out);
  }
  for (int64_t i = 0; i < from.size(axis); ++i) {
    RotatePosition(arguments, turn, x + i * from.stride(axis), out + i * arguments.out.stride(axis),
                   axis + 1);
  }
}

struct PositionRange {
  int64_t least = 0;
  int64_t most = 0;
};

PositionRange RangeOf(const RotaryArguments& arguments) {
  const Tensor& positions = arguments.positions;
  if (!positions.defined()) return {arguments.first, arguments.first + arguments.x.size(1) - 1};
  PositionRange range;
  for (int64_t b = 0; b < positions.size(0); ++b) {
    const int32_t* const row = positions.data<int32_t>() + b * positions.stride(0);
    for (int64_t i = 0; i < positions.size(1); ++i) {
      const int64_t position = row[i * positions.stride(1)];
      range.least = std::min(range.least, position);
      range.most = std::max(range.most, position);
    }
  }
  return range;
}

int64_t PositionAt(const RotaryArguments& arguments, int64_t sequence, int64_t at) {
  const Tensor& positions = arguments.positions;
  if (!positions.defined()) return arguments.first + at;
  return positions.data<int32_t>()[sequence * positions.stride(0) + at * positions.stride(1)];
}

template <typename T>
void RotaryTyped(CpuDevice& device, RotaryTable<T>& table, const RotaryArguments& arguments) {
  const Tensor& x = arguments.x;
  const Tensor& out = arguments.out;
  if (x.elements() == 0) return;
  const int64_t n = x.size(1);
  const int64_t half = x.size(-1) / 2;
  const PositionRange range = RangeOf(arguments);
  table.Prepare(device, arguments.base, half, range.most + 1);
  const int64_t count = x.size(0) * n;
  // Positions that the table does not hold are rare: one thread computes them, in one buffer.
  const bool all_in_table = range.least >= 0 && range.most < RotaryTable<T>::kMostPositions;
  std::vector<T> buffer(all_in_table ? 0 : static_cast<size_t>(2 * half));
  ParallelRanges(
      device.threads(), count, all_in_table ? 16384 * count / x.elements() + 1 : count,
      [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t sequence = i / n;
          const int64_t at = i % n;
          RotatePosition(arguments, table.Of(PositionAt(arguments, sequence, at), buffer.data()),
                         x.data<T>() + sequence * x.stride(0) + at * x.stride(1),
                         out.data<T>() + sequence * out.stride(0) + at * out.stride(1), 2);
        }
      },
      1);
}

class CpuPositionKernels : public PositionKernels {
 public:
  explicit CpuPositionKernels(CpuDevice& device) : device_(device) {}

  void Rotary(const RotaryArguments& arguments) override {
    DispatchFloating(arguments.x.dtype(), "rotary", [&]<typename T>() {
      RotaryTyped<T>(device_, std::get<RotaryTable<T>>(tables_), arguments);
    });
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
  std::tuple<RotaryTable<float>, RotaryTable<double>> tables_;
};

}  // namespace

std::unique_ptr<PositionKernels> MakeCpuPositionKernels(CpuDevice& device) {
  return std::make_unique<CpuPositionKernels>(device);
}

}  // namespace trainyard
