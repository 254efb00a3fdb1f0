#include <array>

#include "core/tensor/cpu/bias_backward.h"
#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/cpu/element_copy.h"
#include "core/tensor/cpu/element_loop.h"
#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/kernels/reduction_kernels.h"

namespace trainyard {
namespace {

using Operands = std::span<const Tensor* const>;

ElementCost CostOf(UnaryOp op) {
  switch (op) {
    case UnaryOp::kNegate:
    case UnaryOp::kAbs:
    case UnaryOp::kSquare:
    case UnaryOp::kSqrt:
    case UnaryOp::kReciprocal:
    case UnaryOp::kRelu:
    case UnaryOp::kSquaredRelu:
      return ElementCost::kArithmetic;
    default:
      return ElementCost::kFunction;
  }
}

ElementCost CostOf(Activation activation) {
  return activation == Activation::kNone || activation == Activation::kRelu ||
                 activation == Activation::kSquaredRelu
             ? ElementCost::kArithmetic
             : ElementCost::kFunction;
}

// `change` sets the function of a call and what else is not the default.
template <typename Change>
void Run(CpuDevice& device, const char* operation, Operands outputs, Operands inputs,
         ElementCost cost, const Change& change) {
  DispatchFloating(outputs[0]->dtype(), operation, [&]<typename T>() {
    ElementCall<T> call{.outputs = outputs, .inputs = inputs, .cost = cost};
    change(BlocksOf<T>(), call);
    RunElements(device, call);
  });
}

class CpuElementwiseKernels : public ElementwiseKernels {
 public:
  explicit CpuElementwiseKernels(CpuDevice& device) : device_(device) {}

  void Fill(double value, const Tensor& out) override { FillElements(device_, value, out); }
  void Copy(const Tensor& in, const Tensor& out) override { CopyElements(device_, in, out); }

  void Unary(UnaryOp op, const Tensor& x, const Tensor& y) override {
    Run(device_, "unary", std::array{&y}, std::array{&x}, CostOf(op),
        [&](const auto& blocks, auto& call) {
          call.function = blocks.unary[static_cast<int>(op)];
        });
  }

  void UnaryBackward(UnaryOp op, const Tensor& saved, const Tensor& dy, const Tensor& dx,
                     bool accumulate) override {
    Run(device_, "unary", std::array{&dx}, std::array{&saved, &dy},
        SavesOutput(op) ? ElementCost::kArithmetic : CostOf(op),
        [&](const auto& blocks, auto& call) {
          call.function = blocks.unary_backward[static_cast<int>(op)];
          call.accumulate = accumulate;
        });
  }

  void Binary(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& out) override {
    Run(device_, "binary", std::array{&out}, std::array{&a, &b}, ElementCost::kArithmetic,
        [&](const auto& blocks, auto& call) {
          call.function = blocks.binary[static_cast<int>(op)];
          call.repeats = true;
        });
  }

  void MultiplyAdd(const Tensor& a, const Tensor& b, const Tensor& out, bool accumulate) override {
    Run(device_, "multiply", std::array{&out}, std::array{&a, &b}, ElementCost::kArithmetic,
        [&](const auto& blocks, auto& call) {
          call.function = blocks.multiply_add;
          call.repeats = true;
          call.accumulate = accumulate;
        });
  }

  void ChoiceBackward(BinaryOp op, const Tensor& x, const Tensor& other, bool first,
                      const Tensor& dy, const Tensor& dx, bool accumulate) override {
    Run(device_, "choice", std::array{&dx}, std::array{&x, &other, &dy}, ElementCost::kArithmetic,
        [&](const auto& blocks, auto& call) {
          const auto& functions =
              op == BinaryOp::kMaximum ? blocks.maximum_backward : blocks.minimum_backward;
          call.function = functions[first ? 0 : 1];
          call.accumulate = accumulate;
        });
  }

  void Affine(const Tensor& in, double scale, double shift, const Tensor& out,
              bool accumulate) override {
    Run(device_, "affine", std::array{&out}, std::array{&in}, ElementCost::kArithmetic,
        [&](const auto& blocks, auto& call) {
          call.function = blocks.affine;
          call.accumulate = accumulate;
          call.scale = static_cast<decltype(call.scale)>(scale);
          call.shift = static_cast<decltype(call.shift)>(shift);
        });
  }

  void BiasActivation(const Tensor& x, const Tensor& bias, Activation activation, const Tensor& pre,
                      const Tensor& y) override {
    const Tensor rows = bias.defined() ? bias.BroadcastTo(x.shape()) : bias;
    Run(device_, "bias", std::array{&y, &pre}, std::array{&x, &rows}, CostOf(activation),
        [&](const auto& blocks, auto& call) {
          call.function = blocks.bias_activation[static_cast<int>(activation)];
        });
  }

  void BiasActivationBackward(Activation activation, const Tensor& pre, const Tensor& dy,
                              const Tensor& dx, const Tensor& dbias,
                              bool accumulate_bias) override {
    const bool needs_saved = activation != Activation::kNone;
    if (dbias.defined() && dy.is_contiguous() && dx.is_contiguous() &&
        (!needs_saved || pre.is_contiguous())) {
      return BackwardWithBias(device_, activation, pre, dy, dx, dbias, accumulate_bias);
    }
    Run(device_, "bias", std::array{&dx}, std::array{&pre, &dy},
        ActivationSavesOutput(activation) ? ElementCost::kArithmetic : CostOf(activation),
        [&](const auto& blocks, auto& call) {
          call.function = blocks.activation_backward[static_cast<int>(activation)];
        });
    if (!dbias.defined()) return;
    device_.reduction().Reduce(ReduceOp::kSum, dx, 1, dbias.Unsqueezed(0), accumulate_bias);
  }

  void Gate(Activation activation, const Tensor& a, const Tensor& b, const Tensor& y) override {
    Run(device_, "gate", std::array{&y}, std::array{&a, &b}, CostOf(activation),
        [&](const auto& blocks, auto& call) {
          call.function = blocks.gate[static_cast<int>(activation)];
        });
  }

  void GateBackward(Activation activation, const Tensor& a, const Tensor& b, const Tensor& dy,
                    const Tensor& da, const Tensor& db) override {
    Run(device_, "gate", std::array{&da, &db}, std::array{&a, &b, &dy}, CostOf(activation),
        [&](const auto& blocks, auto& call) {
          call.function = blocks.gate_backward[static_cast<int>(activation)];
        });
  }

 private:
  CpuDevice& device_;
};

}  // namespace

std::unique_ptr<ElementwiseKernels> MakeCpuElementwiseKernels(CpuDevice& device) {
  return std::make_unique<CpuElementwiseKernels>(device);
}

}  // namespace trainyard
