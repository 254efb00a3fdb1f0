#include "core/nn/ops/dropout.h"

#include "core/nn/ops/support.h"
#include "core/nn/recorder.h"
#include "core/tensor/kernels/random_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {

Variable Dropout(const Variable& x, double rate, RandomSource* random) {
  ExpectFloating("dropout", x);
  if (!(rate >= 0 && rate < 1)) ThrowInvalidTensor("dropout: the rate ", rate, " is not in [0, 1)");
  if (rate == 0 || random == nullptr) return x;
  const RandomStream stream = random->TakeStream();
  const Tensor y = Tensor::Empty(x.device(), x.shape(), x.dtype());
  x.device().random().Dropout(stream, rate, x.value().Contiguous(), y, false);
  return Recorder("dropout", x).Record(y, [stream, rate](BackwardContext& context) {
    const Tensor dy = context.output_gradient().Contiguous();
    const GradientBuffer dx = context.Buffer(0);
    dy.device().random().Dropout(stream, rate, dy, dx.tensor(), dx.accumulate());
    dx.Finish();
  });
}

}  // namespace trainyard::nn
