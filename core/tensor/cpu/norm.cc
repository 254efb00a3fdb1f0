#include <algorithm>
#include <cmath>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/cpu/parallel_ranges.h"
#include "core/tensor/kernels/norm_kernels.h"

namespace trainyard {
namespace {

constexpr int64_t kGrainElements = 16384;

template <typename T>
T* DataOrNull(const Tensor& tensor) {
  return tensor.defined() ? tensor.data<T>() : nullptr;
}

template <typename T>
struct Rows {
  NormKind kind;
  int64_t n;
  int64_t d;
  const T* x;
  const T* gain;
  const T* bias;
  T gain_at(int64_t j) const { return kind == NormKind::kScale ? gain[0] : gain[j]; }
};

template <typename T>
void NormalizeRows(const Rows<T>& rows, double epsilon, T* y, T* mean, T* rstd, int64_t begin,
                   int64_t end) {
  const double d = static_cast<double>(rows.d);
  for (int64_t i = begin; i < end; ++i) {
    const T* const x = rows.x + i * rows.d;
    double sum = 0;
    if (rows.kind == NormKind::kLayer) {
      for (int64_t j = 0; j < rows.d; ++j) sum += x[j];
    }
    const double center = sum / d;
    double squares = 0;
    for (int64_t j = 0; j < rows.d; ++j) {
      squares += (x[j] - center) * (x[j] - center);
    }
    const double inverse = 1 / std::sqrt(squares / d + epsilon);
    for (int64_t j = 0; j < rows.d; ++j) {
      y[i * rows.d + j] = static_cast<T>((x[j] - center) * inverse) * rows.gain_at(j) +
                          (rows.bias != nullptr ? rows.bias[j] : T(0));
    }
    if (mean != nullptr) mean[i] = static_cast<T>(center);
    if (rstd != nullptr) rstd[i] = static_cast<T>(inverse);
  }
}

template <typename T>
void DifferentiateRows(const Rows<T>& rows, const T* mean, const T* rstd, const T* dy, T* dx,
                       bool accumulate, int64_t begin, int64_t end) {
  const double d = static_cast<double>(rows.d);
  for (int64_t i = begin; i < end; ++i) {
    const T* const x = rows.x + i * rows.d;
    const T* const gradient = dy + i * rows.d;
    const double center = rows.kind == NormKind::kLayer ? mean[i] : 0;
    const double inverse = rstd[i];
    double sum = 0;
    double product = 0;
    for (int64_t j = 0; j < rows.d; ++j) {
      const double g = static_cast<double>(gradient[j]) * rows.gain_at(j);
      sum += g;
      product += g * (x[j] - center) * inverse;
    }
    if (rows.kind != NormKind::kLayer) sum = 0;
    for (int64_t j = 0; j < rows.d; ++j) {
      const double g = static_cast<double>(gradient[j]) * rows.gain_at(j);
      const double value = inverse * (g - sum / d - (x[j] - center) * inverse * product / d);
      T& to = dx[i * rows.d + j];
      to = static_cast<T>(accumulate ? to + value : value);
    }
  }
}

template <typename T>
void DifferentiateParameters(const Rows<T>& rows, const T* mean, const T* rstd, const T* dy,
                             T* dgain, T* dbias, int64_t begin, int64_t end) {
  double whole = 0;
  for (int64_t j = begin; j < end; ++j) {
    double gain = 0;
    double bias = 0;
    for (int64_t i = 0; i < rows.n; ++i) {
      const double center = rows.kind == NormKind::kLayer ? mean[i] : 0;
      const double g = dy[i * rows.d + j];
      gain += g * (rows.x[i * rows.d + j] - center) * rstd[i];
      bias += g;
    }
    whole += gain;
    if (dgain != nullptr && rows.kind != NormKind::kScale) dgain[j] += static_cast<T>(gain);
    if (dbias != nullptr) dbias[j] += static_cast<T>(bias);
  }
  if (dgain != nullptr && rows.kind == NormKind::kScale) dgain[0] += static_cast<T>(whole);
}

class CpuNormKernels : public NormKernels {
 public:
  explicit CpuNormKernels(CpuDevice& device) : device_(device) {}

  void Normalize(NormKind kind, const Tensor& x, const Tensor& gain, const Tensor& bias,
                 double epsilon, const Tensor& y, const Tensor& mean, const Tensor& rstd) override {
    DispatchFloating(x.dtype(), "normalize", [&]<typename T>() {
      const Rows<T> rows = RowsOf<T>(kind, x, gain, bias);
      ParallelRanges(
          device_.threads(), rows.n, GrainOf(rows.d),
          [&](int64_t begin, int64_t end) {
            NormalizeRows(rows, epsilon, y.data<T>(), DataOrNull<T>(mean), DataOrNull<T>(rstd),
                          begin, end);
          },
          1);
    });
  }

  void NormalizeBackward(NormKind kind, const Tensor& x, const Tensor& gain, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, const Tensor& dx, bool accumulate_dx,
                         const Tensor& dgain, const Tensor& dbias) override {
    DispatchFloating(x.dtype(), "normalize", [&]<typename T>() {
      const Rows<T> rows = RowsOf<T>(kind, x, gain, Tensor());
      const T* const means = DataOrNull<T>(mean);
      if (dgain.defined() || dbias.defined()) {
        DifferentiateParameters(rows, means, rstd.data<T>(), dy.data<T>(), DataOrNull<T>(dgain),
                                DataOrNull<T>(dbias), 0, rows.d);
      }
      if (!dx.defined()) return;
      ParallelRanges(
          device_.threads(), rows.n, GrainOf(rows.d),
          [&](int64_t begin, int64_t end) {
            DifferentiateRows(rows, means, rstd.data<T>(), dy.data<T>(), dx.data<T>(),
                              accumulate_dx, begin, end);
          },
          1);
    });
  }

 private:
  static int64_t GrainOf(int64_t d) { return kGrainElements / std::max<int64_t>(d, 1) + 1; }

  template <typename T>
  static Rows<T> RowsOf(NormKind kind, const Tensor& x, const Tensor& gain, const Tensor& bias) {
    return {kind, x.size(0), x.size(1), x.data<T>(), gain.data<T>(), DataOrNull<T>(bias)};
  }

  CpuDevice& device_;
};

}  // namespace

std::unique_ptr<NormKernels> MakeCpuNormKernels(CpuDevice& device) {
  return std::make_unique<CpuNormKernels>(device);
}

}  // namespace trainyard
