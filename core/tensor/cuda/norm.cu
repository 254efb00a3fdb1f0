#include "core/tensor/cuda/launch.h"
#include "core/tensor/cuda/norm.h"
#include "core/tensor/cuda/row_threads.h"
#include "core/tensor/cuda/scalar_functions.h"

namespace trainyard::cuda {
namespace {

constexpr int kColumnWarps = 8;

template <typename T>
struct NormalizeKernel {
  static constexpr const char* kName = "normalize";
  static constexpr int kThreads = kRowThreads;
  static constexpr bool kSynchronizes = true;
  NormArguments arguments;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const int64_t columns = arguments.columns;
    RowThreads<Context> threads(context, columns);
    const int64_t row = threads.row();
    if (row >= arguments.rows) return;
    const T* const x = static_cast<const T*>(arguments.x) + row * columns;
    double mean = 0;
    if (arguments.centered) {
      for (int64_t i = threads.first(); i < columns; i += threads.step()) mean += x[i];
      mean = threads.Reduce(mean, Plus{}) / static_cast<double>(columns);
    }
    double squares = 0;
    for (int64_t i = threads.first(); i < columns; i += threads.step()) {
      const double centered = static_cast<double>(x[i]) - mean;
      squares += centered * centered;
    }
    squares = threads.Reduce(squares, Plus{}) / static_cast<double>(columns);
    const double rstd = 1 / Sqrt(squares + arguments.epsilon);
    Store(threads, row, mean, rstd, x);
  }

 private:
  template <typename Context>
  TRAINYARD_DEVICE void Store(const RowThreads<Context>& threads, int64_t row, double mean,
                              double rstd, const T* x) const {
    const T* const gain = static_cast<const T*>(arguments.gain);
    const T* const bias = static_cast<const T*>(arguments.bias);
    T* const y = static_cast<T*>(arguments.y) + row * arguments.columns;
    for (int64_t i = threads.first(); i < arguments.columns; i += threads.step()) {
      const T normalized = static_cast<T>((static_cast<double>(x[i]) - mean) * rstd);
      const T scaled = normalized * gain[arguments.scalar_gain ? 0 : i];
      y[i] = bias == nullptr ? scaled : scaled + bias[i];
    }
    if (threads.first() > 0) return;
    if (arguments.mean != nullptr) static_cast<T*>(arguments.mean)[row] = static_cast<T>(mean);
    if (arguments.rstd != nullptr) static_cast<T*>(arguments.rstd)[row] = static_cast<T>(rstd);
  }
};

// With h = (x - mean) * rstd and g = dy * gain:
//   dx = rstd * (g - h * mean(g h) - mean(g)), the last only where the mean was subtracted.
template <typename T>
struct NormalizeBackwardKernel {
  static constexpr const char* kName = "normalize_backward";
  static constexpr int kThreads = kRowThreads;
  static constexpr bool kSynchronizes = true;
  NormArguments arguments;
  const T* dy;
  T* dx;
  bool accumulate;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const int64_t columns = arguments.columns;
    RowThreads<Context> threads(context, columns);
    const int64_t row = threads.row();
    if (row >= arguments.rows) return;
    const T* const x = static_cast<const T*>(arguments.x) + row * columns;
    const T* const gain = static_cast<const T*>(arguments.gain);
    const T* const dy_row = dy + row * columns;
    const T mean = arguments.centered ? static_cast<const T*>(arguments.mean)[row] : T(0);
    const T rstd = static_cast<const T*>(arguments.rstd)[row];
    double sum = 0;
    double product = 0;
    for (int64_t i = threads.first(); i < columns; i += threads.step()) {
      const T g = dy_row[i] * gain[arguments.scalar_gain ? 0 : i];
      sum += g;
      product += static_cast<double>(g * ((x[i] - mean) * rstd));
    }
    const double scale = 1 / static_cast<double>(columns);
    const T mean_g =
        arguments.centered ? static_cast<T>(threads.Reduce(sum, Plus{}) * scale) : T(0);
    const T mean_gh = static_cast<T>(threads.Reduce(product, Plus{}) * scale);
    T* const dx_row = dx + row * columns;
    for (int64_t i = threads.first(); i < columns; i += threads.step()) {
      const T g = dy_row[i] * gain[arguments.scalar_gain ? 0 : i];
      const T value = rstd * (g - mean_g - (x[i] - mean) * rstd * mean_gh);
      dx_row[i] = accumulate ? dx_row[i] + value : value;
    }
  }
};

// Sums of columns over a chunk of rows.
template <typename T>
struct NormColumnsKernel {
  static constexpr const char* kName = "normalize_columns";
  static constexpr int kThreads = kWarp * kColumnWarps;
  static constexpr bool kSynchronizes = true;
  NormArguments arguments;
  NormBackwardArguments backward;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    auto gain_sums = context.template Shared<double>(kThreads);
    auto bias_sums = context.template Shared<double>(kThreads);
    const int lane = context.thread() % kWarp;
    const int warp = context.thread() / kWarp;
    const int64_t column = context.block() * kWarp + lane;
    const int64_t chunk = context.block_y();
    const int64_t end = arguments.rows * (chunk + 1) / backward.chunks;
    double gain_sum = 0;
    double bias_sum = 0;
    if (column < arguments.columns) {
      for (int64_t row = arguments.rows * chunk / backward.chunks + warp; row < end;
           row += kColumnWarps) {
        const int64_t at = row * arguments.columns + column;
        const T mean = arguments.centered ? static_cast<const T*>(arguments.mean)[row] : T(0);
        const T rstd = static_cast<const T*>(arguments.rstd)[row];
        const double dy = static_cast<const T*>(backward.dy)[at];
        gain_sum +=
            dy * static_cast<double>((static_cast<const T*>(arguments.x)[at] - mean) * rstd);
        bias_sum += dy;
      }
    }
    gain_sums[context.thread()] = gain_sum;
    bias_sums[context.thread()] = bias_sum;
    context.Sync();
    if (warp > 0 || column >= arguments.columns) return;
    for (int i = 1; i < kColumnWarps; ++i) {
      gain_sum += gain_sums[i * kWarp + lane];
      bias_sum += bias_sums[i * kWarp + lane];
    }
    const int64_t at = chunk * arguments.columns + column;
    if (backward.gain_parts != nullptr) backward.gain_parts[at] = gain_sum;
    if (backward.bias_parts != nullptr) backward.bias_parts[at] = bias_sum;
  }
};

}  // namespace

int64_t NormChunksOf(int64_t rows, int64_t columns) {
  constexpr int64_t kWantedBlocks = 512;
  constexpr int64_t kSmallestChunk = 64;
  const int64_t wanted = CeilDivide(kWantedBlocks, CeilDivide(columns, kWarp));
  const int64_t most = CeilDivide(rows, kSmallestChunk);
  return wanted < most ? wanted : most;
}

template <typename T>
void LaunchNormalize(Platform& platform, const NormArguments& arguments) {
  Launch(platform, Grid{BlocksForRows(arguments.rows, arguments.columns)},
         NormalizeKernel<T>{arguments}, kRowSharedBytes);
}
template void LaunchNormalize<float>(Platform&, const NormArguments&);
template void LaunchNormalize<double>(Platform&, const NormArguments&);

template <typename T>
void LaunchNormalizeBackward(Platform& platform, const NormArguments& forward,
                             const NormBackwardArguments& backward) {
  if (backward.dx != nullptr) {
    Launch(platform, Grid{BlocksForRows(forward.rows, forward.columns)},
           NormalizeBackwardKernel<T>{forward, static_cast<const T*>(backward.dy),
                                      static_cast<T*>(backward.dx), backward.accumulate_dx},
           kRowSharedBytes);
  }
  if (backward.gain_parts != nullptr || backward.bias_parts != nullptr) {
    const NormColumnsKernel<T> columns{forward, backward};
    Launch(platform, Grid{CeilDivide(forward.columns, kWarp), backward.chunks}, columns,
           2 * columns.kThreads * sizeof(double));
  }
}
template void LaunchNormalizeBackward<float>(Platform&, const NormArguments&,
                                             const NormBackwardArguments&);
template void LaunchNormalizeBackward<double>(Platform&, const NormArguments&,
                                              const NormBackwardArguments&);

}  // namespace trainyard::cuda
