#include <algorithm>
#include <cmath>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/cpu/parallel_ranges.h"
#include "core/tensor/cpu/row_blocks.h"
#include "core/tensor/kernels/loss_kernels.h"

namespace trainyard {
namespace {

template <typename T>
T* RowOf(const Tensor& tensor, int64_t i) {
  return tensor.data<T>() + i * tensor.stride(0);
}

// y = exp(x - shift) (y may be null); the sum of all.
template <typename T>
double ExpSum(const T* x, int64_t d, T shift, T* y) {
  const RowBlocks<T>& blocks = RowBlocksOf<T>();
  return SumOfParts(d, [&](int64_t j, int64_t count) {
    return blocks.exp_sum(x + j, count, shift, y == nullptr ? nullptr : y + j);
  });
}

template <typename T>
void SoftmaxRow(const T* x, int64_t d, T* y) {
  const RowBlocks<T>& blocks = RowBlocksOf<T>();
  const double sum = ExpSum(x, d, blocks.maximum(x, d), y);
  blocks.scale(y, d, static_cast<T>(1 / sum), T(0), y);
}

template <typename T>
void SoftmaxBackwardRow(const T* y, const T* dy, int64_t d, T* dx, bool accumulate) {
  const RowBlocks<T>& blocks = RowBlocksOf<T>();
  const double mean =
      SumOfParts(d, [&](int64_t j, int64_t count) { return blocks.dot(y + j, dy + j, count); });
  blocks.softmax_gradient(y, dy, d, static_cast<T>(mean), dx, accumulate);
}

template <typename T>
void LogSoftmaxRow(const T* x, int64_t d, T* y) {
  const RowBlocks<T>& blocks = RowBlocksOf<T>();
  const T maximum = blocks.maximum(x, d);
  const double sum = ExpSum<T>(x, d, maximum, nullptr);
  blocks.scale(x, d, T(1), -static_cast<T>(std::log(sum) + maximum), y);
}

template <typename T>
void LogSoftmaxBackwardRow(const T* y, const T* dy, int64_t d, T* dx, bool accumulate) {
  const RowBlocks<T>& blocks = RowBlocksOf<T>();
  const double sum =
      SumOfParts(d, [&](int64_t j, int64_t count) { return blocks.sum(dy + j, count); });
  blocks.log_softmax_gradient(y, dy, d, static_cast<T>(sum), dx, accumulate);
}

template <typename T>
T CrossEntropyRow(T* logits, int64_t d, int32_t target, T weight, double gradient_scale) {
  const bool gradient = gradient_scale != 0;
  if (target < 0) {
    if (gradient) std::fill_n(logits, d, T(0));
    return 0;
  }
  const RowBlocks<T>& blocks = RowBlocksOf<T>();
  const T maximum = blocks.maximum(logits, d);
  const double of_target = static_cast<double>(logits[target]) - maximum;
  const double sum = ExpSum(logits, d, maximum, gradient ? logits : nullptr);
  if (gradient) {
    const double factor = gradient_scale * weight;
    blocks.scale(logits, d, static_cast<T>(factor / sum), T(0), logits);
    logits[target] -= static_cast<T>(factor);
  }
  return static_cast<T>(weight * (std::log(sum) - of_target));
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
