#include <memory>

#include "core/tensor/cuda/cuda_device.h"
#include "core/tensor/cuda/cuda_kernels.h"
#include "core/tensor/cuda/elementwise.h"
#include "core/tensor/cuda/layouts.h"
#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/kernels/reduction_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

ElementType TypeOf(const Tensor& tensor) {
  switch (tensor.dtype()) {
    case DType::kFloat32:
      return ElementType::kFloat32;
    case DType::kFloat64:
      return ElementType::kFloat64;
    case DType::kInt32:
      return ElementType::kInt32;
    case DType::kUint8:
      return ElementType::kUint8;
  }
  return ElementType::kFloat32;
}

class CudaElementwiseKernels : public ElementwiseKernels {
 public:
  explicit CudaElementwiseKernels(CudaDevice& device) : device_(device) {}

  void Fill(double value, const Tensor& out) override {
    if (out.elements() == 0) return;
    LaunchFill(device_.platform(), {LayoutOf({&out}), out.raw_data(), TypeOf(out), value});
  }

  void Copy(const Tensor& in, const Tensor& out) override {
    if (out.elements() == 0) return;
    LaunchCopy(device_.platform(),
               {LayoutOf({&out, &in}), out.raw_data(), in.raw_data(), TypeOf(out), TypeOf(in)});
  }

  void Unary(UnaryOp op, const Tensor& x, const Tensor& y) override {
    Map({.op = MapOp::kUnary, .unary = op}, {&y, &x});
  }
  void UnaryBackward(UnaryOp op, const Tensor& saved, const Tensor& dy, const Tensor& dx,
                     bool accumulate) override {
    Map({.op = MapOp::kUnaryBackward, .unary = op, .accumulate = accumulate}, {&dx, &saved, &dy});
  }
  void Binary(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& out) override {
    Map({.op = MapOp::kBinary, .binary = op}, {&out, &a, &b});
  }
  void MultiplyAdd(const Tensor& a, const Tensor& b, const Tensor& out, bool accumulate) override {
    Map({.op = MapOp::kBinary, .binary = BinaryOp::kMultiply, .accumulate = accumulate},
        {&out, &a, &b});
  }
  void ChoiceBackward(BinaryOp op, const Tensor& x, const Tensor& other, bool first,
                      const Tensor& dy, const Tensor& dx, bool accumulate) override {
    Map({.op = MapOp::kChoiceBackward, .binary = op, .first = first, .accumulate = accumulate},
        {&dx, &x, &other, &dy});
  }
  void Affine(const Tensor& in, double scale, double shift, const Tensor& out,
              bool accumulate) override {
    Map({.op = MapOp::kAffine, .scale = scale, .shift = shift, .accumulate = accumulate},
        {&out, &in});
  }

  void BiasActivation(const Tensor& x, const Tensor& bias, Activation activation, const Tensor& pre,
                      const Tensor& y) override {
    const Tensor wide_bias = bias.defined() ? bias.BroadcastTo(y.shape()) : Tensor();
    Map({.op = MapOp::kBiasActivation, .activation = activation}, {&pre, &y, &x, &wide_bias});
  }
  void BiasActivationBackward(Activation activation, const Tensor& pre, const Tensor& dy,
                              const Tensor& dx, const Tensor& dbias,
                              bool accumulate_bias) override {
    Map({.op = MapOp::kActivationBackward, .activation = activation}, {&dx, &pre, &dy});
    if (!dbias.defined()) return;
    device_.reduction().Reduce(ReduceOp::kSum, dx, 1, dbias.Unsqueezed(0), accumulate_bias);
  }
  void Gate(Activation activation, const Tensor& a, const Tensor& b, const Tensor& y) override {
    Map({.op = MapOp::kGate, .activation = activation}, {&y, &a, &b});
  }
  void GateBackward(Activation activation, const Tensor& a, const Tensor& b, const Tensor& dy,
                    const Tensor& da, const Tensor& db) override {
    Map({.op = MapOp::kGateBackward, .activation = activation}, {&da, &db, &a, &b, &dy});
  }

 private:
  void Map(MapArguments arguments, std::initializer_list<const Tensor*> operands) {
    arguments.layout = LayoutOf(operands);
    if (arguments.layout.elements == 0) return;
    int j = 0;
    DType type = DType::kFloat32;
    for (const Tensor* operand : operands) {
      arguments.data[j++] = DataOf(*operand);
      if (operand->defined()) type = operand->dtype();
    }
    DispatchFloating(type, "elementwise",
                     [&]<typename T>() { LaunchMap<T>(device_.platform(), arguments); });
  }

  CudaDevice& device_;
};

}  // namespace

std::unique_ptr<ElementwiseKernels> MakeElementwiseKernels(CudaDevice& device) {
  return std::make_unique<CudaElementwiseKernels>(device);
}

}  // namespace trainyard::cuda
