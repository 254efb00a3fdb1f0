#include <immintrin.h>

#include <algorithm>
#include <cmath>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/cpu/element_loop.h"
#include "core/tensor/cpu/parallel_ranges.h"
#include "core/tensor/cpu/row_blocks.h"
#include "core/tensor/kernels/norm_kernels.h"

namespace trainyard {
namespace {

constexpr int64_t kGrainElements = 8192;

template <typename T>
T* DataOrNull(const Tensor& tensor) {
  return tensor.defined() ? tensor.data<T>() : nullptr;
}

int64_t RowsOfGrain(int64_t d) { return kGrainElements / std::max<int64_t>(d, 1) + 1; }

template <typename T>
NormRow<T> RowOf(NormKind kind, const Tensor& x, const Tensor& gain, const Tensor& bias) {
  NormRow<T> row;
  row.count = x.size(1);
  row.x = x.data<T>();
  row.gain = gain.data<T>();
  row.one_gain = kind == NormKind::kScale;
  row.bias = DataOrNull<T>(bias);
  return row;
}

// Whether results of so many rows pass the caches: see kStreamedBytes.
template <typename T>
bool Streams(const T* out, int64_t n, int64_t d, int streams) {
  return static_cast<size_t>(n * d * streams) * sizeof(T) >= kStreamedBytes &&
         static_cast<size_t>(d) * sizeof(T) % 64 == 0 && reinterpret_cast<uintptr_t>(out) % 64 == 0;
}

template <typename T>
void Forward(CpuDevice& device, NormKind kind, const NormRow<T>& first, int64_t n, double epsilon,
             T* y, T* mean, T* rstd) {
  const RowBlocks<T>& blocks = RowBlocksOf<T>();
  const int64_t d = first.count;
  const auto of_rows = [&](int64_t begin, int64_t end) {
    NormRow<T> row = first;
    row.stream = first.x != y && Streams(y, n, d, 2);
    for (int64_t i = begin; i < end; ++i) {
      row.x = first.x + i * d;
      double center = 0;
      if (kind == NormKind::kLayer) {
        center =
            SumOfParts(d, [&](int64_t j, int64_t count) { return blocks.sum(row.x + j, count); }) /
            static_cast<double>(d);
      }
      row.center = static_cast<T>(center);
      const double squares = SumOfParts(d, [&](int64_t j, int64_t count) {
        return blocks.squares(row.x + j, count, row.center);
      });
      row.factor = static_cast<T>(1 / std::sqrt(squares / static_cast<double>(d) + epsilon));
      blocks.normalize(row, y + i * d);
      if (mean != nullptr) mean[i] = row.center;
      if (rstd != nullptr) rstd[i] = row.factor;
    }
    if (row.stream) _mm_sfence();
  };
  ParallelRanges(device.threads(), n, RowsOfGrain(d), of_rows, 1);
}

template <typename T>
struct BackwardCall {
  NormKind kind;
  NormRow<T> row;
  int64_t n;
  const T* mean;
  const T* rstd;
  const T* dy;
  T* dx;
  bool accumulate;
  T* dgain;
  T* dbias;
};

// Rows [begin, end); gradients of the parameters are added to dgain and dbias, of row.count numbers
// each (null: not wanted). Returns the gradient of a single gain.
template <typename T>
double BackwardRows(const BackwardCall<T>& call, int64_t begin, int64_t end, T* dgain, T* dbias) {
  const RowBlocks<T>& blocks = RowBlocksOf<T>();
  const double d = static_cast<double>(call.row.count);
  const double one_gain = call.row.one_gain ? call.row.gain[0] : 1;
  NormRow<T> row = call.row;
  row.stream = call.dx != nullptr && !call.accumulate && call.dx != call.dy &&
               call.dx != call.row.x && Streams(call.dx, call.n, row.count, 3);
  NormGradientRow<T> gradient;
  gradient.dgain = dgain;
  gradient.dbias = dbias;
  gradient.accumulate = call.accumulate;
  double products = 0;
  for (int64_t i = begin; i < end; ++i) {
    row.x = call.row.x + i * row.count;
    row.center = call.kind == NormKind::kLayer ? call.mean[i] : T(0);
    row.factor = call.rstd[i];
    gradient.dy = call.dy + i * row.count;
    blocks.norm_sums(row, gradient);
    products += gradient.product;
    if (call.dx == nullptr) continue;
    gradient.mean_sum =
        call.kind == NormKind::kLayer ? static_cast<T>(gradient.sum * one_gain / d) : T(0);
    gradient.mean_product = static_cast<T>(gradient.product * one_gain / d);
    gradient.dx = call.dx + i * row.count;
    blocks.norm_gradient(row, gradient);
  }
  if (row.stream) _mm_sfence();
  return products;
}

// Parameters get the sums of chunks of rows, in order: the bits do not depend on the number of
// threads.
template <typename T>
void Backward(CpuDevice& device, const BackwardCall<T>& call) {
  const int64_t d = call.row.count;
  if (call.dgain == nullptr && call.dbias == nullptr) {
    ParallelRanges(
        device.threads(), call.n, RowsOfGrain(d),
        [&](int64_t begin, int64_t end) { BackwardRows<T>(call, begin, end, nullptr, nullptr); },
        1);
    return;
  }
  const int64_t length = std::clamp<int64_t>(call.n / 16, RowsOfGrain(d), 512);
  const int64_t chunks = (call.n + length - 1) / length;
  T* const gain_target = call.row.one_gain ? nullptr : call.dgain;
  // A row of each chunk: dgain, dbias and the gradient of a single gain.
  const Tensor sums = Tensor::Zeros(device, {chunks, 2 * d + 1}, DTypeOf<T>());
  ParallelChunks(device.threads(), call.n, length, 2 * RowsOfGrain(d),
                 [&](int64_t chunk, int64_t begin, int64_t end) {
                   T* const gain = sums.data<T>() + chunk * (2 * d + 1);
                   T* const bias = gain + d;
                   bias[d] = static_cast<T>(
                       BackwardRows<T>(call, begin, end, gain_target != nullptr ? gain : nullptr,
                                       call.dbias != nullptr ? bias : nullptr));
                 });
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const T* const gain = sums.data<T>() + chunk * (2 * d + 1);
    const RowBlocks<T>& blocks = RowBlocksOf<T>();
    if (gain_target != nullptr) blocks.add_scaled(gain, d, T(1), gain_target);
    if (call.dbias != nullptr) blocks.add_scaled(gain + d, d, T(1), call.dbias);
    if (call.row.one_gain && call.dgain != nullptr) call.dgain[0] += gain[2 * d];
  }
}

class CpuNormKernels : public NormKernels {
 public:
  explicit CpuNormKernels(CpuDevice& device) : device_(device) {}

  void Normalize(NormKind kind, const Tensor& x, const Tensor& gain, const Tensor& bias,
                 double epsilon, const Tensor& y, const Tensor& mean, const Tensor& rstd) override {
    DispatchFloating(x.dtype(), "normalize", [&]<typename T>() {
      Forward(device_, kind, RowOf<T>(kind, x, gain, bias), x.size(0), epsilon, y.data<T>(),
              DataOrNull<T>(mean), DataOrNull<T>(rstd));
    });
  }

  void NormalizeBackward(NormKind kind, const Tensor& x, const Tensor& gain, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, const Tensor& dx, bool accumulate_dx,
                         const Tensor& dgain, const Tensor& dbias) override {
    DispatchFloating(x.dtype(), "normalize", [&]<typename T>() {
      Backward<T>(device_, {kind, RowOf<T>(kind, x, gain, Tensor()), x.size(0), DataOrNull<T>(mean),
                            rstd.data<T>(), dy.data<T>(), DataOrNull<T>(dx), accumulate_dx,
                            DataOrNull<T>(dgain), DataOrNull<T>(dbias)});
    });
  }

 private:
  CpuDevice& device_;
};

}  // namespace

std::unique_ptr<NormKernels> MakeCpuNormKernels(CpuDevice& device) {
  return std::make_unique<CpuNormKernels>(device);
}

}  // namespace trainyard
