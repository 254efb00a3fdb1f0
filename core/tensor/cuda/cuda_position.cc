#include <memory>

#include "core/tensor/cuda/cuda_device.h"
#include "core/tensor/cuda/cuda_kernels.h"
#include "core/tensor/cuda/position.h"
#include "core/tensor/kernels/position_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

// Batch, position, what lies between, coordinates. The dimensions between must lie in memory like
// one.
bool HasInnerStride(const Tensor& tensor) {
  for (int axis = 2; axis + 2 < tensor.rank(); ++axis) {
    if (tensor.size(axis) != 1 && tensor.size(axis + 1) != 1 &&
        tensor.stride(axis) != tensor.stride(axis + 1) * tensor.size(axis + 1)) {
      return false;
    }
  }
  return true;
}

void SetStrides(const Tensor& tensor, int64_t (&strides)[3]) {
  strides[0] = tensor.stride(0);
  strides[1] = tensor.stride(1);
  for (int axis = tensor.rank() - 2; axis >= 2; --axis) {
    if (tensor.size(axis) == 1) continue;
    strides[2] = tensor.stride(axis);
    break;
  }
}

class CudaPositionKernels : public PositionKernels {
 public:
  explicit CudaPositionKernels(CudaDevice& device) : device_(device) {}

  void Rotary(const RotaryArguments& arguments) override {
    const Tensor& x = arguments.x;
    if (x.elements() == 0) return;
    if (x.rank() > 3 && (!HasInnerStride(x) || !HasInnerStride(arguments.out))) {
      // One call for each element of the outermost dimension between.
      for (int64_t i = 0; i < x.size(2); ++i) {
        RotaryArguments part = arguments;
        part.x = x.Select(2, i);
        part.out = arguments.out.Select(2, i);
        Rotary(part);
      }
      return;
    }
    RotaryKernelArguments kernel{.batch = x.size(0),
                                 .length = x.size(1),
                                 .half = x.size(-1) / 2,
                                 .neighbors = arguments.pairing == RotaryPairing::kNeighbors,
                                 .inverse = arguments.inverse,
                                 .accumulate = arguments.accumulate,
                                 .x = x.raw_data(),
                                 .out = arguments.out.raw_data(),
                                 .first = arguments.first,
                                 .base = arguments.base};
    kernel.inner = x.elements() / (kernel.batch * kernel.length * x.size(-1));
    SetStrides(x, kernel.x_strides);
    SetStrides(arguments.out, kernel.out_strides);
    if (arguments.positions.defined()) {
      kernel.positions = arguments.positions.data<int32_t>();
      kernel.position_strides[0] = arguments.positions.stride(0);
      kernel.position_strides[1] = arguments.positions.stride(1);
    }
    DispatchFloating(x.dtype(), "rotary",
                     [&]<typename T>() { LaunchRotary<T>(device_.platform(), kernel); });
  }

  void Sinusoid(int64_t first, double base, const Tensor& out) override {
    if (out.elements() == 0) return;
    DispatchFloating(out.dtype(), "sinusoid", [&]<typename T>() {
      LaunchSinusoid<T>(device_.platform(), first, base, out.size(0), out.size(1), out.stride(0),
                        out.raw_data());
    });
  }

  void Toeplitz(const Tensor& w, const Tensor& out) override {
    if (out.elements() == 0) return;
    DispatchFloating(out.dtype(), "toeplitz", [&]<typename T>() {
      LaunchToeplitz<T>(device_.platform(), w.raw_data(), out.size(0), out.size(1), out.stride(0),
                        out.raw_data());
    });
  }

  void ToeplitzBackward(const Tensor& d, const Tensor& dw) override {
    if (d.elements() == 0) return;
    const ToeplitzBackwardArguments arguments{.batch = d.size(0),
                                              .rows = d.size(1),
                                              .columns = d.size(2),
                                              .d = d.raw_data(),
                                              .strides = {d.stride(0), d.stride(1), d.stride(2)},
                                              .dw = dw.raw_data()};
    DispatchFloating(d.dtype(), "toeplitz", [&]<typename T>() {
      LaunchToeplitzBackward<T>(device_.platform(), arguments);
    });
  }

 private:
  CudaDevice& device_;
};

}  // namespace

std::unique_ptr<PositionKernels> MakePositionKernels(CudaDevice& device) {
  return std::make_unique<CudaPositionKernels>(device);
}

}  // namespace trainyard::cuda
