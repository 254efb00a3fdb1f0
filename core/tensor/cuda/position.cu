#include "core/tensor/cuda/launch.h"
#include "core/tensor/cuda/position.h"
#include "core/tensor/cuda/row_threads.h"
#include "core/tensor/cuda/scalar_functions.h"

namespace trainyard::cuda {
namespace {

constexpr int kBlockThreads = 256;

// position * base^(-i / half), in double: float angles lose digits at far positions.
TRAINYARD_DEVICE double Angle(double position, double base, int64_t i, int64_t half) {
  return position * pow(base, -static_cast<double>(i) / static_cast<double>(half));
}

template <typename T>
struct RotaryKernel {
  static constexpr const char* kName = "rotary";
  static constexpr int kThreads = kBlockThreads;
  static constexpr bool kSynchronizes = false;
  RotaryKernelArguments arguments;

  // Threads take (batch, position, pair) and turn all vectors there by one angle.
  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const RotaryKernelArguments& a = arguments;
    const int64_t count = a.batch * a.length * a.half;
    for (int64_t i = context.block() * kThreads + context.thread(); i < count;
         i += context.blocks() * kThreads) {
      const int64_t pair = i % a.half;
      const int64_t row = i / a.half;
      const int64_t batch = row / a.length;
      const int64_t index = row % a.length;
      const int64_t position =
          a.positions == nullptr
              ? a.first + index
              : a.positions[batch * a.position_strides[0] + index * a.position_strides[1]];
      const double angle = Angle(static_cast<double>(position), a.base, pair, a.half);
      Turn(batch, index, pair, static_cast<T>(Cos(angle)),
           static_cast<T>(a.inverse ? -Sin(angle) : Sin(angle)));
    }
  }

 private:
  TRAINYARD_DEVICE void Turn(int64_t batch, int64_t index, int64_t pair, T cosine, T sine) const {
    const RotaryKernelArguments& a = arguments;
    const int64_t first = a.neighbors ? 2 * pair : pair;
    const int64_t distance = a.neighbors ? 1 : a.half;
    const T* x =
        static_cast<const T*>(a.x) + batch * a.x_strides[0] + index * a.x_strides[1] + first;
    T* out = static_cast<T*>(a.out) + batch * a.out_strides[0] + index * a.out_strides[1] + first;
    for (int64_t inner = 0; inner < a.inner; ++inner) {
      const T p = x[0];
      const T q = x[distance];
      const T turned_p = p * cosine - q * sine;
      const T turned_q = p * sine + q * cosine;
      out[0] = a.accumulate ? out[0] + turned_p : turned_p;
      out[distance] = a.accumulate ? out[distance] + turned_q : turned_q;
      x += a.x_strides[2];
      out += a.out_strides[2];
    }
  }
};

template <typename T>
struct SinusoidKernel {
  static constexpr const char* kName = "sinusoid";
  static constexpr int kThreads = kBlockThreads;
  static constexpr bool kSynchronizes = false;
  int64_t first;
  double base;
  int64_t rows;
  int64_t half;
  int64_t row_stride;
  T* out;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    for (int64_t i = context.block() * kThreads + context.thread(); i < rows * half;
         i += context.blocks() * kThreads) {
      const int64_t row = i / half;
      const int64_t column = i % half;
      const double angle = Angle(static_cast<double>(first + row), base, column, half);
      out[row * row_stride + column] = static_cast<T>(Sin(angle));
      out[row * row_stride + half + column] = static_cast<T>(Cos(angle));
    }
  }
};

template <typename T>
struct ToeplitzKernel {
  static constexpr const char* kName = "toeplitz";
  static constexpr int kThreads = kBlockThreads;
  static constexpr bool kSynchronizes = false;
  const T* w;
  int64_t rows;
  int64_t columns;
  int64_t row_stride;
  T* out;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    for (int64_t i = context.block() * kThreads + context.thread(); i < rows * columns;
         i += context.blocks() * kThreads) {
      const int64_t row = i / columns;
      const int64_t column = i % columns;
      out[row * row_stride + column] = w[row - column + columns - 1];
    }
  }
};

// A block a diagonal.
template <typename T>
struct ToeplitzBackwardKernel {
  static constexpr const char* kName = "toeplitz_backward";
  static constexpr int kThreads = 128;
  static constexpr bool kSynchronizes = true;
  ToeplitzBackwardArguments arguments;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    auto sums = context.template Shared<double>(kThreads / kWarp);
    const ToeplitzBackwardArguments& a = arguments;
    // Row - column of the diagonal, and its rows.
    const int64_t offset = context.block() - (a.columns - 1);
    const int64_t begin = offset > 0 ? offset : 0;
    const int64_t end = Min(a.rows, a.columns + offset);
    const int64_t length = end - begin;
    const T* const d = static_cast<const T*>(a.d);
    double sum = 0;
    for (int64_t i = context.thread(); i < a.batch * length; i += kThreads) {
      const int64_t row = begin + i % length;
      sum += d[i / length * a.strides[0] + row * a.strides[1] + (row - offset) * a.strides[2]];
    }
    sum = context.WarpReduce(sum, Plus{});
    if (context.thread() % kWarp == 0) sums[context.thread() / kWarp] = sum;
    context.Sync();
    if (context.thread() > 0) return;
    for (int i = 1; i < kThreads / kWarp; ++i) sum += sums[i];
    T& dw = static_cast<T*>(a.dw)[context.block()];
    dw = static_cast<T>(static_cast<double>(dw) + sum);
  }
};

}  // namespace

template <typename T>
void LaunchRotary(Platform& platform, const RotaryKernelArguments& arguments) {
  const int64_t count = arguments.batch * arguments.length * arguments.half;
  Launch(platform, Grid{BlocksFor(count, kBlockThreads)}, RotaryKernel<T>{arguments});
}
template void LaunchRotary<float>(Platform&, const RotaryKernelArguments&);
template void LaunchRotary<double>(Platform&, const RotaryKernelArguments&);

template <typename T>
void LaunchSinusoid(Platform& platform, int64_t first, double base, int64_t rows, int64_t columns,
                    int64_t row_stride, void* out) {
  Launch(platform, Grid{BlocksFor(rows * columns / 2, kBlockThreads)},
         SinusoidKernel<T>{first, base, rows, columns / 2, row_stride, static_cast<T*>(out)});
}
template void LaunchSinusoid<float>(Platform&, int64_t, double, int64_t, int64_t, int64_t, void*);
template void LaunchSinusoid<double>(Platform&, int64_t, double, int64_t, int64_t, int64_t, void*);

template <typename T>
void LaunchToeplitz(Platform& platform, const void* w, int64_t rows, int64_t columns,
                    int64_t row_stride, void* out) {
  Launch(
      platform, Grid{BlocksFor(rows * columns, kBlockThreads)},
      ToeplitzKernel<T>{static_cast<const T*>(w), rows, columns, row_stride, static_cast<T*>(out)});
}
template void LaunchToeplitz<float>(Platform&, const void*, int64_t, int64_t, int64_t, void*);
template void LaunchToeplitz<double>(Platform&, const void*, int64_t, int64_t, int64_t, void*);

template <typename T>
void LaunchToeplitzBackward(Platform& platform, const ToeplitzBackwardArguments& arguments) {
  const ToeplitzBackwardKernel<T> kernel{arguments};
  Launch(platform, Grid{arguments.rows + arguments.columns - 1}, kernel,
         kernel.kThreads / kWarp * sizeof(double));
}
template void LaunchToeplitzBackward<float>(Platform&, const ToeplitzBackwardArguments&);
template void LaunchToeplitzBackward<double>(Platform&, const ToeplitzBackwardArguments&);

}  // namespace trainyard::cuda
