#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/cpu/parallel_ranges.h"
#include "core/tensor/kernels/reduction_kernels.h"

namespace trainyard {
namespace {

template <typename T>
double Start(ReduceOp op) {
  switch (op) {
    case ReduceOp::kSum:
      return 0;
    case ReduceOp::kMaximum:
      return -std::numeric_limits<double>::infinity();
    case ReduceOp::kMinimum:
      return std::numeric_limits<double>::infinity();
  }
  return 0;
}

double Reduced(ReduceOp op, double a, double b) {
  switch (op) {
    case ReduceOp::kSum:
      return a + b;
    case ReduceOp::kMaximum:
      return b > a || std::isnan(b) ? b : a;
    case ReduceOp::kMinimum:
      return b < a || std::isnan(b) ? b : a;
  }
  return 0;
}

template <typename T>
double ReduceAxes(ReduceOp op, const T* data, const Tensor& in, const Tensor& out, int axis,
                  double value) {
  for (; axis < in.rank() && in.size(axis) == out.size(axis); ++axis) {
  }
  if (axis == in.rank()) return Reduced(op, value, static_cast<double>(*data));
  for (int64_t i = 0; i < in.size(axis); ++i) {
    value = ReduceAxes(op, data + i * in.stride(axis), in, out, axis + 1, value);
  }
  return value;
}

template <typename T>
void ReduceTyped(CpuDevice& device, ReduceOp op, const Tensor& in, double scale, const Tensor& out,
                 bool accumulate) {
  ParallelRanges(device.threads(), out.elements(), 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T* from = in.data<T>();
      T* to = out.data<T>();
      int64_t rest = i;
      for (int axis = out.rank() - 1; axis >= 0; --axis) {
        const int64_t index = rest % out.size(axis);
        rest /= out.size(axis);
        from += index * in.stride(axis);
        to += index * out.stride(axis);
      }
      const double value = scale * ReduceAxes(op, from, in, out, 0, Start<T>(op));
      *to = static_cast<T>(accumulate ? static_cast<double>(*to) + value : value);
    }
  });
}

class CpuReductionKernels : public ReductionKernels {
 public:
  explicit CpuReductionKernels(CpuDevice& device) : device_(device) {}

  void Reduce(ReduceOp op, const Tensor& in, double scale, const Tensor& out,
              bool accumulate) override {
    DispatchFloating(in.dtype(), "reduce", [&]<typename T>() {
      ReduceTyped<T>(device_, op, in, scale, out, accumulate);
    });
  }

  void ArgMax(const Tensor& in, const Tensor& out) override {
    DispatchFloating(in.dtype(), "argmax", [&]<typename T>() {
      const int64_t d = in.size(1);
      ParallelRanges(device_.threads(), in.size(0), 65536 / std::max<int64_t>(d, 1),
                     [&](int64_t begin, int64_t end) {
                       for (int64_t i = begin; i < end; ++i) {
                         const T* const row = in.data<T>() + i * in.stride(0);
                         int64_t best = 0;
                         for (int64_t j = 1; j < d; ++j) {
                           if (row[j * in.stride(1)] > row[best * in.stride(1)]) best = j;
                         }
                         out.data<int32_t>()[i * out.stride(0)] = static_cast<int32_t>(best);
                       }
                     });
    });
  }

 private:
  CpuDevice& device_;
};

}  // namespace

std::unique_ptr<ReductionKernels> MakeCpuReductionKernels(CpuDevice& device) {
  return std::make_unique<CpuReductionKernels>(device);
}

}  // namespace trainyard
