#include <algorithm>
#include <memory>

#include "core/tensor/cuda/cuda_device.h"
#include "core/tensor/cuda/cuda_kernels.h"
#include "core/tensor/cuda/layouts.h"
#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/kernels/matmul_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

// cuBLASLt's epilogue reads the bias in vectors.
constexpr uintptr_t kBiasAlignment = 16;

// A matrix whose rows, or columns, lie without gaps, as products want it; else `tensor` becomes a
// copy that does.
GemmOperand OperandOf(Tensor& tensor) {
  const auto describe = [](const Tensor& matrix) {
    const bool plain = matrix.size(-1) == 1 || matrix.stride(-1) == 1;
    const int64_t rows = plain ? matrix.size(-2) : matrix.size(-1);
    const int64_t columns = plain ? matrix.size(-1) : matrix.size(-2);
    GemmOperand operand{.data = matrix.raw_data(),
                        .stride = plain ? matrix.stride(-2) : matrix.stride(-1),
                        .transposed = !plain};
    if (rows == 1) operand.stride = std::max(operand.stride, columns);
    const bool dense = plain || matrix.size(-2) == 1 || matrix.stride(-2) == 1;
    if (!dense || operand.stride < columns) operand.stride = 0;
    return operand;
  };
  GemmOperand operand = describe(tensor);
  if (operand.stride == 0) {
    tensor = tensor.Clone();
    operand = describe(tensor);
  }
  return operand;
}

// The first elements of all matrices of a batch.
Tensor Corners(const Tensor& tensor) { return tensor.Select(-1, 0).Select(-1, 0); }

class CudaMatmulKernels : public MatmulKernels {
 public:
  explicit CudaMatmulKernels(CudaDevice& device) : device_(device) {}

  void Matmul(const MatmulArguments& arguments) override {
    const Tensor& out = arguments.out;
    if (out.elements() == 0) return;
    if (arguments.a.size(-1) == 0) {
      if (!arguments.accumulate) out.Fill(0);
      if (!arguments.accumulate) FinishSeparately(arguments, out);
      return;
    }
    const bool plain_bias = !arguments.bias.defined() || IsFusible(arguments.bias);
    const bool fused_relu = arguments.activation == Activation::kRelu &&
                            !arguments.pre_activation.defined() && out.dtype() == DType::kFloat32 &&
                            plain_bias;
    GemmRequest request{.alpha = arguments.alpha, .beta = arguments.accumulate ? 1.0 : 0.0};
    if (fused_relu) request.epilogue = Epilogue::kRelu;
    if (plain_bias && arguments.bias.defined()) request.bias = arguments.bias.raw_data();
    const Tensor& to = arguments.pre_activation.defined() ? arguments.pre_activation : out;
    Multiply(arguments.a, arguments.b, to, request);
    if (!plain_bias) {
      FinishSeparately(arguments, to);
    } else if (arguments.pre_activation.defined() ||
               (arguments.activation != Activation::kNone && !fused_relu)) {
      device_.elementwise().BiasActivation(to, Tensor(), arguments.activation, Tensor(), out);
    }
  }

 private:
  static bool IsFusible(const Tensor& bias) {
    return bias.dtype() == DType::kFloat32 && bias.is_contiguous() &&
           reinterpret_cast<uintptr_t>(bias.raw_data()) % kBiasAlignment == 0;
  }

  // Bias and activation of `product`, where the product itself did not take the bias.
  void FinishSeparately(const MatmulArguments& arguments, const Tensor& product) {
    device_.elementwise().BiasActivation(product, arguments.bias, arguments.activation,
                                         arguments.pre_activation, arguments.out);
  }

  void Multiply(Tensor a, Tensor b, const Tensor& c, GemmRequest request) {
    request.type = c.dtype();
    request.m = c.size(-2);
    request.n = c.size(-1);
    request.k = a.size(-1);
    request.a = OperandOf(a);
    request.b = OperandOf(b);
    request.c = c.raw_data();
    request.c_stride = request.m == 1 ? std::max(c.stride(-2), request.n) : c.stride(-2);
    const Tensor a_corners = Corners(a);
    const Tensor b_corners = Corners(b);
    const Tensor c_corners = Corners(c);
    const StridedLayout batch = LayoutOf({&c_corners, &a_corners, &b_corners});
    if (batch.rank > 0) {
      request.batch = batch.sizes[0];
      request.c_batch_stride = batch.strides[0][0];
      request.a.batch_stride = batch.strides[1][0];
      request.b.batch_stride = batch.strides[2][0];
      JoinBatchWithRows(request);
    }
    MultiplyAll(request, batch, batch.rank - 1);
  }

  // One product in place of many with the same second factor.
  static void JoinBatchWithRows(GemmRequest& request) {
    const bool joins = request.b.batch_stride == 0 && !request.a.transposed &&
                       request.a.batch_stride == request.m * request.a.stride &&
                       request.c_batch_stride == request.m * request.c_stride;
    if (!joins) return;
    request.m *= request.batch;
    request.batch = 1;
  }

  // Loops over the dimensions `axis`, …, 1 of the batch; 0 is the request's own.
  void MultiplyAll(const GemmRequest& request, const StridedLayout& batch, int axis) {
    if (axis < 1) {
      device_.platform().blas().Gemm(request);
      return;
    }
    const auto element = static_cast<int64_t>(SizeOf(request.type));
    GemmRequest part = request;
    for (int64_t i = 0; i < batch.sizes[axis]; ++i) {
      const auto at = [&](int operand) { return i * batch.strides[operand][axis] * element; };
      part.c = static_cast<std::byte*>(request.c) + at(0);
      part.a.data = static_cast<const std::byte*>(request.a.data) + at(1);
      part.b.data = static_cast<const std::byte*>(request.b.data) + at(2);
      MultiplyAll(part, batch, axis - 1);
    }
  }

  CudaDevice& device_;
};

}  // namespace

std::unique_ptr<MatmulKernels> MakeMatmulKernels(CudaDevice& device) {
  return std::make_unique<CudaMatmulKernels>(device);
}

}  // namespace trainyard::cuda
