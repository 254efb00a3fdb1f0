#include "core/tensor/cuda/launch.h"
#include "core/tensor/cuda/loss.h"
#include "core/tensor/cuda/row_threads.h"
#include "core/tensor/cuda/scalar_functions.h"

namespace trainyard::cuda {
namespace {

template <typename T>
TRAINYARD_DEVICE T* RowOf(const Rows& rows, int64_t row) {
  return static_cast<T*>(rows.data) + row * rows.stride;
}

struct RowSoftmax {
  double largest;
  double sum;  // of exp(x - largest)
};

template <typename T, typename Context>
TRAINYARD_DEVICE RowSoftmax SoftmaxOf(RowThreads<Context>& threads, const T* x, int64_t columns) {
  double largest = -__builtin_huge_val();
  for (int64_t i = threads.first(); i < columns; i += threads.step()) {
    largest = Larger{}(largest, static_cast<double>(x[i]));
  }
  largest = threads.Reduce(largest, Larger{});
  double sum = 0;
  for (int64_t i = threads.first(); i < columns; i += threads.step()) {
    sum += Exp(x[i] - static_cast<T>(largest));
  }
  return {largest, threads.Reduce(sum, Plus{})};
}

template <typename T>
struct SoftmaxKernel {
  static constexpr const char* kName = "softmax";
  static constexpr int kThreads = kRowThreads;
  static constexpr bool kSynchronizes = true;
  SoftmaxArguments arguments;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    RowThreads<Context> threads(context, arguments.columns);
    if (threads.row() >= arguments.rows) return;
    const T* const x = RowOf<const T>(arguments.x, threads.row());
    T* const y = RowOf<T>(arguments.y, threads.row());
    const RowSoftmax softmax = SoftmaxOf(threads, x, arguments.columns);
    const T largest = static_cast<T>(softmax.largest);
    const T factor = static_cast<T>(1 / softmax.sum);
    const T shift = static_cast<T>(Log(softmax.sum));
    for (int64_t i = threads.first(); i < arguments.columns; i += threads.step()) {
      y[i] = arguments.logarithm ? x[i] - largest - shift : Exp(x[i] - largest) * factor;
    }
  }
};

template <typename T>
struct SoftmaxBackwardKernel {
  static constexpr const char* kName = "softmax_backward";
  static constexpr int kThreads = kRowThreads;
  static constexpr bool kSynchronizes = true;
  SoftmaxBackwardArguments arguments;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    RowThreads<Context> threads(context, arguments.columns);
    if (threads.row() >= arguments.rows) return;
    const T* const y = RowOf<const T>(arguments.y, threads.row());
    const T* const dy = RowOf<const T>(arguments.dy, threads.row());
    T* const dx = RowOf<T>(arguments.dx, threads.row());
    double sum = 0;
    for (int64_t i = threads.first(); i < arguments.columns; i += threads.step()) {
      sum += arguments.logarithm ? dy[i] : dy[i] * y[i];
    }
    const T total = static_cast<T>(threads.Reduce(sum, Plus{}));
    for (int64_t i = threads.first(); i < arguments.columns; i += threads.step()) {
      const T value = arguments.logarithm ? dy[i] - Exp(y[i]) * total : y[i] * (dy[i] - total);
      dx[i] = arguments.accumulate ? dx[i] + value : value;
    }
  }
};

template <typename T>
struct CrossEntropyKernel {
  static constexpr const char* kName = "cross_entropy";
  static constexpr int kThreads = kRowThreads;
  static constexpr bool kSynchronizes = true;
  CrossEntropyArguments arguments;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    RowThreads<Context> threads(context, arguments.columns);
    const int64_t row = threads.row();
    if (row >= arguments.rows) return;
    T* const logits = RowOf<T>(arguments.logits, row);
    T& loss = static_cast<T*>(arguments.losses)[row * arguments.loss_stride];
    const int64_t target = arguments.targets[row * arguments.target_stride];
    if (target < 0) {
      if (threads.first() == 0) loss = T(0);
      if (arguments.gradient_scale == 0) return;
      for (int64_t i = threads.first(); i < arguments.columns; i += threads.step()) logits[i] = 0;
      return;
    }
    // Read by all before any of them writes: the reductions lie between.
    const T picked = logits[target];
    const RowSoftmax softmax = SoftmaxOf(threads, static_cast<const T*>(logits), arguments.columns);
    const T weight = arguments.weights == nullptr
                         ? T(1)
                         : static_cast<const T*>(arguments.weights)[row * arguments.weight_stride];
    if (threads.first() == 0) {
      const double log_sum = softmax.largest + Log(softmax.sum);
      loss = static_cast<T>(static_cast<double>(weight) * (log_sum - static_cast<double>(picked)));
    }
    if (arguments.gradient_scale == 0) return;
    const T scale = static_cast<T>(arguments.gradient_scale) * weight;
    const T factor = static_cast<T>(1 / softmax.sum);
    for (int64_t i = threads.first(); i < arguments.columns; i += threads.step()) {
      const T probability = Exp(logits[i] - static_cast<T>(softmax.largest)) * factor;
      logits[i] = scale * (i == target ? probability - T(1) : probability);
    }
  }
};

}  // namespace

template <typename T>
void LaunchSoftmax(Platform& platform, const SoftmaxArguments& arguments) {
  Launch(platform, Grid{BlocksForRows(arguments.rows, arguments.columns)},
         SoftmaxKernel<T>{arguments}, kRowSharedBytes);
}
template void LaunchSoftmax<float>(Platform&, const SoftmaxArguments&);
template void LaunchSoftmax<double>(Platform&, const SoftmaxArguments&);

template <typename T>
void LaunchSoftmaxBackward(Platform& platform, const SoftmaxBackwardArguments& arguments) {
  Launch(platform, Grid{BlocksForRows(arguments.rows, arguments.columns)},
         SoftmaxBackwardKernel<T>{arguments}, kRowSharedBytes);
}
template void LaunchSoftmaxBackward<float>(Platform&, const SoftmaxBackwardArguments&);
template void LaunchSoftmaxBackward<double>(Platform&, const SoftmaxBackwardArguments&);

template <typename T>
void LaunchCrossEntropy(Platform& platform, const CrossEntropyArguments& arguments) {
  Launch(platform, Grid{BlocksForRows(arguments.rows, arguments.columns)},
         CrossEntropyKernel<T>{arguments}, kRowSharedBytes);
}
template void LaunchCrossEntropy<float>(Platform&, const CrossEntropyArguments&);
template void LaunchCrossEntropy<double>(Platform&, const CrossEntropyArguments&);

}  // namespace trainyard::cuda
