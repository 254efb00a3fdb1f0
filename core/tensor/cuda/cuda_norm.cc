#include <memory>

#include "core/tensor/cuda/cuda_device.h"
#include "core/tensor/cuda/cuda_kernels.h"
#include "core/tensor/cuda/layouts.h"
#include "core/tensor/cuda/norm.h"
#include "core/tensor/cuda/reduction.h"
#include "core/tensor/kernels/norm_kernels.h"
#include "core/tensor/kernels/reduction_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

class CudaNormKernels : public NormKernels {
 public:
  explicit CudaNormKernels(CudaDevice& device) : device_(device) {}

  void Normalize(NormKind kind, const Tensor& x, const Tensor& gain, const Tensor& bias,
                 double epsilon, const Tensor& y, const Tensor& mean, const Tensor& rstd) override {
    if (x.elements() == 0) return;
    NormArguments arguments = ArgumentsOf(kind, x, gain, mean, rstd);
    arguments.epsilon = epsilon;
    arguments.bias = DataOf(bias);
    arguments.y = y.raw_data();
    DispatchFloating(x.dtype(), "normalize",
                     [&]<typename T>() { LaunchNormalize<T>(device_.platform(), arguments); });
  }

  void NormalizeBackward(NormKind kind, const Tensor& x, const Tensor& gain, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, const Tensor& dx, bool accumulate_dx,
                         const Tensor& dgain, const Tensor& dbias) override {
    if (x.elements() == 0) return;
    const NormArguments forward = ArgumentsOf(kind, x, gain, mean, rstd);
    NormBackwardArguments backward{.dy = dy.raw_data(),
                                   .dx = DataOf(dx),
                                   .accumulate_dx = accumulate_dx,
                                   .chunks = NormChunksOf(forward.rows, forward.columns)};
    const Tensor gain_parts = Parts(dgain, backward.chunks, forward.columns);
    const Tensor bias_parts = Parts(dbias, backward.chunks, forward.columns);
    backward.gain_parts = static_cast<double*>(DataOf(gain_parts));
    backward.bias_parts = static_cast<double*>(DataOf(bias_parts));
    DispatchFloating(x.dtype(), "normalize", [&]<typename T>() {
      LaunchNormalizeBackward<T>(device_.platform(), forward, backward);
      AddParts<T>(gain_parts, dgain);
      AddParts<T>(bias_parts, dbias);
    });
  }

 private:
  static NormArguments ArgumentsOf(NormKind kind, const Tensor& x, const Tensor& gain,
                                   const Tensor& mean, const Tensor& rstd) {
    return {.rows = x.size(0),
            .columns = x.size(1),
            .centered = kind == NormKind::kLayer,
            .scalar_gain = kind == NormKind::kScale,
            .x = x.raw_data(),
            .gain = gain.raw_data(),
            .mean = DataOf(mean),
            .rstd = DataOf(rstd)};
  }

  Tensor Parts(const Tensor& wanted, int64_t chunks, int64_t columns) {
    return wanted.defined() ? Tensor::Empty(device_, {chunks, columns}, DType::kFloat64) : Tensor();
  }

  // out += the sum of `parts` over chunks, or over all where out has one element.
  template <typename T>
  void AddParts(Tensor parts, const Tensor& out) {
    if (!out.defined()) return;
    if (out.elements() == 1 && parts.elements() > 1) {
      const Tensor sum = Tensor::Empty(device_, {1, 1}, DType::kFloat64);
      device_.reduction().Reduce(ReduceOp::kSum, parts, 1, sum, false);
      parts = sum;
    }
    LaunchSumOfParts<T>(device_.platform(), parts.data<double>(), parts.size(0), parts.size(1), 1,
                        out.raw_data(), true);
  }

  CudaDevice& device_;
};

}  // namespace

std::unique_ptr<NormKernels> MakeNormKernels(CudaDevice& device) {
  return std::make_unique<CudaNormKernels>(device);
}

}  // namespace trainyard::cuda
