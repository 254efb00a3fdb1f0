#include "core/nn/ops/gradient_flow.h"

#include "core/nn/ops/support.h"
#include "core/nn/recorder.h"
#include "core/tensor/kernels/elementwise_kernels.h"

namespace trainyard::nn {

Variable ReverseGradient(const Variable& x, double factor) {
  ExpectFloating("reverse_gradient", x);
  return Recorder("reverse_gradient", x).Record(x.value(), [factor](BackwardContext& context) {
    const Tensor& dy = context.output_gradient();
    const GradientTarget target = context.Target(0);
    dy.device().elementwise().Affine(dy, -factor, 0, target.tensor, target.accumulate);
  });
}

}  // namespace trainyard::nn
