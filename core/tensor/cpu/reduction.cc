#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/cpu/parallel_ranges.h"
#include "core/tensor/cpu/reduction_plan.h"
#include "core/tensor/cpu/row_blocks.h"
#include "core/tensor/kernels/reduction_kernels.h"

namespace trainyard {
namespace {

// How a result is cut into parts depends on sizes alone, so its bits do not depend on the number of
// threads.
constexpr int64_t kPartElements = 65536;
constexpr int64_t kGrainElements = 32768;
// With that many results there is enough to share without cutting them.
constexpr int64_t kManyResults = 64;
constexpr int64_t kColumns = 1024;
constexpr int64_t kRowsInLanes = 256;

int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

double Start(ReduceOp op) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return op == ReduceOp::kSum ? 0 : op == ReduceOp::kMaximum ? -kInfinity : kInfinity;
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
class Reduction {
 public:
  Reduction(CpuDevice& device, ReduceOp op, const Tensor& in, double scale, const Tensor& out,
            bool accumulate)
      : device_(device),
        op_(op),
        plan_(op, in, out),
        in_(in.data<T>()),
        out_(out.data<T>()),
        scale_(scale * plan_.factor),
        accumulate_(accumulate) {}

  void Run() {
    // The innermost axis is taken out of its set.
    inner_ = plan_.by_columns ? plan_.kept.TakeLast() : plan_.reduced.TakeLast();
    results_ = plan_.kept.elements();
    rows_ = plan_.reduced.elements();
    if (results_ * (plan_.by_columns ? inner_.size : 1) == 0) return;
    plan_.by_columns ? RunColumns() : RunRows();
  }

 private:
  void Write(int64_t offset, double value) {
    T& to = out_[offset];
    value *= scale_;
    to = static_cast<T>(accumulate_ ? static_cast<double>(to) + value : value);
  }

  double RowValue(const T* x, int64_t n) const {
    const int64_t stride = inner_.in_stride;
    double value = Start(op_);
    if (stride != 1) {
      for (int64_t j = 0; j < n; ++j) value = Reduced(op_, value, x[j * stride]);
      return value;
    }
    switch (op_) {
      case ReduceOp::kSum:
        return SumOfParts(n, [&](int64_t i, int64_t count) { return blocks_.sum(x + i, count); });
      case ReduceOp::kMaximum:
        return blocks_.maximum(x, n);
      case ReduceOp::kMinimum:
        return blocks_.minimum(x, n);
    }
    return value;
  }

  // Each result is that of `rows_` rows of inner_.size elements.
  void RunRows() {
    const int64_t work = rows_ * inner_.size;
    const bool cut = results_ < kManyResults && work > kPartElements;
    const bool cut_rows = rows_ > 1;
    const int64_t length =
        cut_rows ? std::max<int64_t>(1, kPartElements / inner_.size) : kPartElements;
    const int64_t parts = cut ? CeilDivide(cut_rows ? rows_ : inner_.size, length) : 1;
    std::vector<double> values(parts > 1 ? static_cast<size_t>(results_ * parts) : 0);
    const int64_t grain = kGrainElements / std::max<int64_t>(1, work / parts);
    ParallelRanges(
        device_.threads(), results_ * parts, std::max<int64_t>(1, grain),
        [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const auto offsets = plan_.kept.OffsetsOf(i / parts);
            const int64_t first = parts > 1 ? i % parts * length : 0;
            const double value =
                cut_rows || parts == 1
                    ? RowsValue(in_ + offsets.in, first,
                                parts > 1 ? std::min(rows_, first + length) : rows_)
                    : RowValue(in_ + offsets.in + first * inner_.in_stride,
                               std::min(length, inner_.size - first));
            parts > 1 ? void(values[i] = value) : Write(offsets.out, value);
          }
        },
        1);
    for (int64_t i = 0; parts > 1 && i < results_; ++i) {
      double value = Start(op_);
      for (int64_t p = 0; p < parts; ++p) value = Reduced(op_, value, values[i * parts + p]);
      Write(plan_.kept.OffsetsOf(i).out, value);
    }
  }

  double RowsValue(const T* x, int64_t begin, int64_t end) const {
    double value = Start(op_);
    for (int64_t r = begin; r < end; ++r) {
      value = Reduced(op_, value, RowValue(x + plan_.reduced.OffsetsOf(r).in, inner_.size));
    }
    return value;
  }

  // inner_.size results lie side by side, each of `rows_` elements.
  void RunColumns() {
    const int64_t n = inner_.size;
    const int64_t tiles = CeilDivide(n, kColumns);
    const bool cut = results_ * tiles < kManyResults && rows_ * n > kGrainElements;
    const int64_t length = cut ? std::max<int64_t>(64, CeilDivide(rows_, 32)) : rows_;
    const int64_t parts = cut ? CeilDivide(rows_, length) : 1;
    std::vector<double> values(parts > 1 ? static_cast<size_t>(results_ * parts * n) : 0);
    const int64_t work = std::max<int64_t>(1, length * std::min(n, kColumns));
    ParallelRanges(
        device_.threads(), results_ * parts * tiles, std::max<int64_t>(1, kGrainElements / work),
        [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const int64_t tile = i % tiles * kColumns;
            const int64_t part = i / tiles % parts;
            const int64_t result = i / tiles / parts;
            const int64_t columns = std::min(kColumns, n - tile);
            const auto offsets = plan_.kept.OffsetsOf(result);
            std::array<double, kColumns> sums;
            ColumnValues(in_ + offsets.in + tile, part * length,
                         std::min(rows_, (part + 1) * length), columns, sums.data());
            if (parts > 1) {
              std::copy_n(sums.data(), columns, &values[(result * parts + part) * n + tile]);
              continue;
            }
            for (int64_t j = 0; j < columns; ++j) {
              Write(offsets.out + (tile + j) * inner_.out_stride, sums[j]);
            }
          }
        },
        1);
    if (parts > 1) CombineColumns(values, parts);
  }

  void ColumnValues(const T* x, int64_t begin, int64_t end, int64_t columns, double* sums) const {
    std::fill_n(sums, columns, Start(op_));
    std::array<T, kColumns> lanes;
    const auto combine = op_ == ReduceOp::kSum       ? blocks_.add_rows
                         : op_ == ReduceOp::kMaximum ? blocks_.maximum_rows
                                                     : blocks_.minimum_rows;
    const int64_t run = plan_.reduced.empty() ? 1 : plan_.reduced.back().size;
    const int64_t stride = plan_.reduced.empty() ? 0 : plan_.reduced.back().in_stride;
    for (int64_t r = begin; r < end;) {
      const int64_t count = std::min({end - r, run - r % run, kRowsInLanes});
      std::fill_n(lanes.data(), columns, static_cast<T>(Start(op_)));
      combine(x + plan_.reduced.OffsetsOf(r).in, stride, count, columns, lanes.data());
      for (int64_t j = 0; j < columns; ++j) sums[j] = Reduced(op_, sums[j], lanes[j]);
      r += count;
    }
  }

  void CombineColumns(const std::vector<double>& values, int64_t parts) {
    const int64_t n = inner_.size;
    ParallelRanges(device_.threads(), results_ * n, kGrainElements / parts,
                   [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; ++i) {
                       const int64_t result = i / n;
                       double value = Start(op_);
                       for (int64_t p = 0; p < parts; ++p) {
                         value = Reduced(op_, value, values[(result * parts + p) * n + i % n]);
                       }
                       Write(plan_.kept.OffsetsOf(result).out + i % n * inner_.out_stride, value);
                     }
                   });
  }

  CpuDevice& device_;
  const RowBlocks<T>& blocks_ = RowBlocksOf<T>();
  const ReduceOp op_;
  ReductionPlan plan_;
  const T* const in_;
  T* const out_;
  const double scale_;
  const bool accumulate_;
  ReducedAxis inner_;
  int64_t results_ = 0;
  int64_t rows_ = 0;
};

template <typename T>
int32_t ArgMaxOfRow(const T* row, int64_t stride, int64_t d) {
  int64_t best = 0;
  for (int64_t j = 1; j < d; ++j) {
    if (row[j * stride] > row[best * stride]) best = j;
  }
  return static_cast<int32_t>(best);
}

class CpuReductionKernels : public ReductionKernels {
 public:
  explicit CpuReductionKernels(CpuDevice& device) : device_(device) {}

  void Reduce(ReduceOp op, const Tensor& in, double scale, const Tensor& out,
              bool accumulate) override {
    DispatchFloating(in.dtype(), "reduce", [&]<typename T>() {
      Reduction<T>(device_, op, in, scale, out, accumulate).Run();
    });
  }

  void ArgMax(const Tensor& in, const Tensor& out) override {
    DispatchFloating(in.dtype(), "argmax", [&]<typename T>() {
      const int64_t d = in.size(1);
      ParallelRanges(
          device_.threads(), in.size(0), 16384 / std::max<int64_t>(d, 1) + 1,
          [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
              out.data<int32_t>()[i * out.stride(0)] =
                  ArgMaxOfRow(in.data<T>() + i * in.stride(0), in.stride(1), d);
            }
          },
          1);
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
