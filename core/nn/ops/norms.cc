#include "core/nn/ops/norms.h"

#include "core/nn/ops/support.h"
#include "core/nn/recorder.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

void Check(NormKind kind, const Variable& x, const Variable& gain, const Variable& bias,
           double epsilon) {
  ExpectRankAtLeast("normalize", x, 1);
  ExpectAlike("normalize", x.value(), gain.value());
  ExpectShape("normalize", "gain", gain.value(), {kind == NormKind::kScale ? 1 : x.size(-1)});
  if (!(epsilon > 0)) ThrowInvalidTensor("normalize: epsilon ", epsilon, " is not above 0");
  if (!bias.defined()) return;
  if (kind != NormKind::kLayer) ThrowInvalidTensor("normalize: only layer norms have a bias");
  ExpectAlike("normalize", x.value(), bias.value());
  ExpectShape("normalize", "bias", bias.value(), {x.size(-1)});
}

struct NormalizeBackward {
  NormKind kind;
  Tensor x;  // rows
  Tensor gain;
  Tensor mean;
  Tensor rstd;

  void operator()(BackwardContext& context) const {
    const Tensor dy = AsRows(context.output_gradient());
    const GradientBuffer dx = context.Buffer(0);
    const GradientBuffer dgain = context.SumBuffer(1);
    const GradientBuffer dbias = context.SumBuffer(2);
    x.device().norm().NormalizeBackward(kind, x, gain, mean, rstd, dy, AsRowsOrNone(dx.tensor()),
                                        dx.accumulate(), dgain.tensor(), dbias.tensor());
    for (const GradientBuffer* gradient : {&dx, &dgain, &dbias}) gradient->Finish();
  }
};

}  // namespace

Variable Normalize(NormKind kind, const Variable& x, const Variable& gain, const Variable& bias,
                   double epsilon) {
  Check(kind, x, gain, bias, epsilon);
  Recorder recorder("normalize", x, gain, bias);
  const Tensor rows = AsRows(x.value());
  const Tensor y = Tensor::Empty(x.device(), x.shape(), x.dtype());
  Tensor mean;
  Tensor rstd;
  if (recorder.recording()) {
    rstd = Tensor::Empty(x.device(), {rows.size(0)}, x.dtype());
    if (kind == NormKind::kLayer) mean = Tensor::Empty(x.device(), {rows.size(0)}, x.dtype());
  }
  const Tensor whole_gain = gain.value().Contiguous();
  x.device().norm().Normalize(kind, rows, whole_gain,
                              bias.defined() ? bias.value().Contiguous() : Tensor(), epsilon,
                              AsRows(y), mean, rstd);
  return recorder.Record(y, NormalizeBackward{kind, rows, whole_gain, mean, rstd});
}

}  // namespace trainyard::nn
