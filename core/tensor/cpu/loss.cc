#include <algorithm>
#include <cmath>
#include <limits>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/cpu/parallel_ranges.h"
#include "core/tensor/kernels/loss_kernels.h"

namespace trainyard {
namespace {

template <typename T>
T* RowOf(const Tensor& tensor, int64_t i) {
  return tensor.data<T>() + i * tensor.stride(0);
}

template <typename T>
void Write(T& to, T value, bool accumulate) {
  to = accumulate ? to + value : value;
}

// max(x) and log(sum(exp(x))).
template <typename T>
double LogSumExp(const T* x, int64_t d, T& maximum) {
  maximum = *std::max_element(x, x + d);
  double sum = 0;
  for (int64_t j = 0; j < d; ++j) sum += std::exp(x[j] - maximum);
  return std::log(sum) + maximum;
}

template <typename T>
void SoftmaxRow(const T* x, int64_t d, T* y) {
  const T maximum = *std::max_element(x, x + d);
  double sum = 0;
  for (int64_t j = 0; j < d; ++j) sum += (y[j] = std::exp(x[j] - maximum));
  const T factor = static_cast<T>(1 / sum);
  for (int64_t j = 0; j < d; ++j) y[j] *= factor;
}

template <typename T>
void SoftmaxBackwardRow(const T* y, const T* dy, int64_t d, T* dx, bool accumulate) {
  double dot = 0;
  for (int64_t j = 0; j < d; ++j) dot += static_cast<double>(dy[j]) * y[j];
  const T mean = static_cast<T>(dot);
  for (int64_t j = 0; j < d; ++j) Write(dx[j], y[j] * (dy[j] - mean), accumulate);
}

template <typename T>
void LogSoftmaxRow(const T* x, int64_t d, T* y) {
  T maximum;
  const T shift = static_cast<T>(LogSumExp(x, d, maximum));
  for (int64_t j = 0; j < d; ++j) y[j] = x[j] - shift;
}

template <typename T>
void LogSoftmaxBackwardRow(const T* y, const T* dy, int64_t d, T* dx, bool accumulate) {
  double sum = 0;
  for (int64_t j = 0; j < d; ++j) sum += dy[j];
  const T factor = static_cast<T>(sum);
  for (int64_t j = 0; j < d; ++j) Write(dx[j], dy[j] - std::exp(y[j]) * factor, accumulate);
}

template <typename T>
T CrossEntropyRow(T* logits, int64_t d, int32_t target, T weight, double gradient_scale) {
  if (target < 0) {
    if (gradient_scale != 0) std::fill_n(logits, d, T(0));
    return 0;
  }
  T maximum;
  const double logsumexp = LogSumExp(logits, d, maximum);
  const T loss = static_cast<T>(weight * (logsumexp - logits[target]));
  if (gradient_scale == 0) return loss;
  const T factor = static_cast<T>(gradient_scale * weight);
  const T shift = static_cast<T>(logsumexp);
  for (int64_t j = 0; j < d; ++j) logits[j] = factor * std::exp(logits[j] - shift);
  logits[target] -= factor;
  return loss;
}

class CpuLossKernels : public LossKernels {
 public:
  explicit CpuLossKernels(CpuDevice& device) : device_(device) {}

  void Softmax(const Tensor& x, const Tensor& y) override {
    ForRows(x, [&]<typename T>(int64_t i, int64_t d) {
      SoftmaxRow(RowOf<T>(x, i), d, RowOf<T>(y, i));
    });
  }
  void SoftmaxBackward(const Tensor& y, const Tensor& dy, const Tensor& dx,
                       bool accumulate) override {
    ForRows(y, [&]<typename T>(int64_t i, int64_t d) {
      SoftmaxBackwardRow(RowOf<T>(y, i), RowOf<T>(dy, i), d, RowOf<T>(dx, i), accumulate);
    });
  }
  void LogSoftmax(const Tensor& x, const Tensor& y) override {
    ForRows(x, [&]<typename T>(int64_t i, int64_t d) {
      LogSoftmaxRow(RowOf<T>(x, i), d, RowOf<T>(y, i));
    });
  }
  void LogSoftmaxBackward(const Tensor& y, const Tensor& dy, const Tensor& dx,
                          bool accumulate) override {
    ForRows(y, [&]<typename T>(int64_t i, int64_t d) {
      LogSoftmaxBackwardRow(RowOf<T>(y, i), RowOf<T>(dy, i), d, RowOf<T>(dx, i), accumulate);
    });
  }
  void CrossEntropy(const Tensor& logits, const Tensor& targets, const Tensor& weights,
                    double gradient_scale, const Tensor& losses) override {
    ForRows(logits, [&]<typename T>(int64_t i, int64_t d) {
      const T weight = weights.defined() ? *RowOf<T>(weights, i) : T(1);
      *RowOf<T>(losses, i) = CrossEntropyRow(RowOf<T>(logits, i), d, *RowOf<int32_t>(targets, i),
                                             weight, gradient_scale);
    });
  }

 private:
  template <typename Function>
  void ForRows(const Tensor& rows, const Function& function) {
    const int64_t d = rows.size(1);
    if (d == 0) return;
    DispatchFloating(rows.dtype(), "softmax", [&]<typename T>() {
      ParallelRanges(
          device_.threads(), rows.size(0), 4096 / d + 1,
          [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) function.template operator()<T>(i, d);
          },
          1);
    });
  }

  CpuDevice& device_;
};

}  // namespace

std::unique_ptr<LossKernels> MakeCpuLossKernels(CpuDevice& device) {
  return std::make_unique<CpuLossKernels>(device);
}

}  // namespace trainyard
