#include <algorithm>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/cpu/gemm_epilogue.h"
#include "core/tensor/cpu/matmul_plan.h"
#include "core/tensor/cpu/serial_gemm.h"
#include "core/tensor/kernels/matmul_kernels.h"

namespace trainyard {
namespace {

template <typename T>
T* DataOrNull(const Tensor& tensor) {
  return tensor.defined() ? tensor.data<T>() : nullptr;
}

// The work of one task: its part of the rows and columns of its run of products.
template <typename T>
class MatmulTask {
 public:
  MatmulTask(const MatmulArguments& arguments, int threads)
      : batch_(DescribeMatmul(arguments)),
        split_(SplitMatmul(batch_, threads)),
        a_(arguments.a.data<T>()),
        b_(arguments.b.data<T>()),
        out_(arguments.out.data<T>()),
        pre_(DataOrNull<T>(arguments.pre_activation)),
        alpha_(static_cast<T>(arguments.alpha)),
        beta_(arguments.accumulate ? T(1) : T(0)),
        epilogue_{DataOrNull<T>(arguments.bias), arguments.activation, pre_, batch_.pre_stride} {}

  int64_t tasks() const { return split_.tasks(); }

  void Run(int64_t task) const {
    const Range columns =
        PartOf(batch_.shape.n, split_.column_parts, task % split_.column_parts, kUnit);
    task /= split_.column_parts;
    const Range rows = PartOf(batch_.shape.m, split_.row_parts, task % split_.row_parts, kUnit);
    const Range products = PartOf(batch_.count, split_.batch_parts, task / split_.row_parts, 1);
    for (int64_t index = products.begin; index < products.end; ++index) {
      Multiply(batch_.OffsetsOf(index), rows, columns);
    }
  }

 private:
  // Parts end where the library's own tiles do.
  static constexpr int64_t kUnit = 48;

  // One product for the whole part: in tiles that the epilogue finds in the cache,
  // the library would pack its operands again and again, which costs more.
  void Multiply(const MatmulBatch::Offsets& at, Range rows, Range columns) const {
    GemmShape part = batch_.shape;
    part.m = rows.size();
    part.n = columns.size();
    const T* const a = a_ + at.a + rows.begin * (part.transpose_a ? 1 : batch_.a_stride);
    const T* const b = b_ + at.b + columns.begin * (part.transpose_b ? batch_.b_stride : 1);
    T* const out = out_ + at.out + rows.begin * batch_.out_stride + columns.begin;
    SerialGemm(part, alpha_, a, batch_.a_stride, b, batch_.b_stride, beta_, out, batch_.out_stride);
    if (epilogue_.empty()) return;
    GemmEpilogue<T> epilogue = epilogue_;
    if (epilogue.bias != nullptr) epilogue.bias += columns.begin;
    if (pre_ != nullptr) {
      epilogue.pre = pre_ + at.pre + rows.begin * batch_.pre_stride + columns.begin;
    }
    ApplyEpilogue(epilogue, part.m, part.n, out, batch_.out_stride);
  }

  const MatmulBatch batch_;
  const MatmulSplit split_;
  const T* const a_;
  const T* const b_;
  T* const out_;
  T* const pre_;
  const T alpha_;
  const T beta_;
  const GemmEpilogue<T> epilogue_;
};

class CpuMatmulKernels : public MatmulKernels {
 public:
  explicit CpuMatmulKernels(CpuDevice& device) : device_(device) {}

  void Matmul(const MatmulArguments& arguments) override {
    if (arguments.out.elements() == 0) return;
    DispatchFloating(arguments.out.dtype(), "matmul",
                     [&]<typename T>() { MatmulOf<T>(arguments); });
  }

 private:
  template <typename T>
  void MatmulOf(const MatmulArguments& arguments) {
    const MatmulTask<T> task(arguments, device_.threads().threads());
    device_.threads().Run(task.tasks(), [&task](int64_t index, int) { task.Run(index); });
  }

  CpuDevice& device_;
};

}  // namespace

std::unique_ptr<MatmulKernels> MakeCpuMatmulKernels(CpuDevice& device) {
  return std::make_unique<CpuMatmulKernels>(device);
}

}  // namespace trainyard
