#include "core/tensor/cuda/launch.h"
#include "core/tensor/cuda/structured.h"

namespace trainyard::cuda {
namespace {

constexpr int kTile = 32;

// Tiles pass through shared memory, so that both sides are read and written along their rows.
template <typename T>
struct TransposeKernel {
  static constexpr const char* kName = "transpose";
  static constexpr int kThreads = 256;
  static constexpr bool kSynchronizes = true;
  static constexpr int kRowsAtOnce = kThreads / kTile;
  static constexpr int kStride = kTile + 1;  // no two rows' columns in one bank
  TransposeArguments arguments;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    auto tile = context.template Shared<T>(kTile * kStride);
    const TransposeArguments& a = arguments;
    const int64_t tiles_across = CeilDivide(a.columns, int64_t{kTile});
    const int64_t first_row = context.block() / tiles_across * kTile;
    const int64_t first_column = context.block() % tiles_across * kTile;
    const int x = context.thread() % kTile;
    for (int y = context.thread() / kTile; y < kTile; y += kRowsAtOnce) {
      if (first_column + y < a.columns && first_row + x < a.rows) {
        tile[y * kStride + x] =
            static_cast<const T*>(a.in)[(first_column + y) * a.in_stride + first_row + x];
      }
    }
    context.Sync();
    if (first_column + x >= a.columns) return;
    const T bias = a.bias == nullptr
                       ? T(0)
                       : static_cast<const T*>(a.bias)[(first_column + x) * a.bias_stride];
    for (int y = context.thread() / kTile; y < kTile; y += kRowsAtOnce) {
      if (first_row + y >= a.rows) break;
      static_cast<T*>(a.out)[(first_row + y) * a.out_stride + first_column + x] =
          tile[x * kStride + y] + bias;
    }
  }
};

}  // namespace

template <typename T>
void LaunchTranspose(Platform& platform, const TransposeArguments& arguments) {
  const int64_t tiles = CeilDivide(arguments.rows, kTile) * CeilDivide(arguments.columns, kTile);
  const TransposeKernel<T> kernel{arguments};
  Launch(platform, Grid{tiles}, kernel, kTile * kernel.kStride * sizeof(T));
}
template void LaunchTranspose<float>(Platform&, const TransposeArguments&);
template void LaunchTranspose<double>(Platform&, const TransposeArguments&);

}  // namespace trainyard::cuda
