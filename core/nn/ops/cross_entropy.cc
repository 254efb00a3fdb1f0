#include "core/nn/ops/cross_entropy.h"

#include <algorithm>

#include "core/nn/ops/support.h"
#include "core/nn/recorder.h"
#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/kernels/loss_kernels.h"
#include "core/tensor/kernels/matmul_kernels.h"
#include "core/tensor/kernels/reduction_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

void CheckWeights(const char* operation, const Variable& x, const CrossEntropyOptions& options,
                  int64_t rows) {
  if (!(options.divisor > 0)) {
    ThrowInvalidTensor(operation, ": the divisor ", options.divisor, " is not above 0");
  }
  if (!options.weights.defined()) return;
  ExpectAlike(operation, x.value(), options.weights);
  if (options.weights.elements() == rows) return;
  ThrowInvalidTensor(operation, ": weights are ", options.weights.Description(), "; expected ",
                     rows);
}

Tensor Flat(const Tensor& x) {
  return x.defined() ? x.Contiguous().View({x.elements()}) : Tensor();
}

Tensor SumOf(const Tensor& losses, double scale) {
  const Tensor sum = Tensor::Empty(losses.device(), {1}, losses.dtype());
  losses.device().reduction().Reduce(ReduceOp::kSum, losses, scale, sum, false);
  return sum.View(Shape{});
}

// (+)= factor * gradient, the factor being a scalar on the device.
void AddScaled(BackwardContext& context, int input, const Tensor& gradient, const Tensor& factor) {
  if (!context.needs(input)) return;
  const GradientTarget target = context.Target(input);
  gradient.device().elementwise().MultiplyAdd(gradient.View(target.tensor.shape()),
                                              factor.BroadcastTo(target.tensor.shape()),
                                              target.tensor, target.accumulate);
}

}  // namespace

Variable CrossEntropy(const Variable& logits, const Tensor& targets,
                      const CrossEntropyOptions& options) {
  ExpectRankAtLeast("cross_entropy", logits, 1);
  const Tensor rows = AsStridedRows(logits.value());
  ExpectIndices("cross_entropy", "target", targets, rows.size(0), rows.size(1));
  CheckWeights("cross_entropy", logits, options, rows.size(0));
  const Tensor classes = Flat(targets);
  const Tensor weights = Flat(options.weights);
  const Tensor losses = Tensor::Empty(logits.device(), {rows.size(0)}, logits.dtype());
  Recorder recorder("cross_entropy", logits);
  const double scale = 1 / options.divisor;
  Tensor gradient;
  if (recorder.recording()) gradient = rows.Clone();
  // The kernel leaves the gradient where the logits were.
  logits.device().loss().CrossEntropy(gradient.defined() ? gradient : rows, classes, weights,
                                      gradient.defined() ? scale : 0, losses);
  return recorder.Record(SumOf(losses, scale), [gradient](BackwardContext& context) {
    AddScaled(context, 0, gradient, context.output_gradient());
  });
}

namespace {

// One pass over slices of rows.
struct SlicedCrossEntropy {
  Tensor x;      // [n, d]
  Tensor table;  // [v, d]
  Tensor bias;   // [v] or undefined
  Tensor targets;
  Tensor weights;
  double scale = 1;
  // Gradients, each undefined where it is not wanted.
  Tensor dx;
  Tensor dtable;
  Tensor dbias;

  bool differentiates() const { return dx.defined() || dtable.defined() || dbias.defined(); }

  void Run(int64_t start, const Tensor& logits, const Tensor& losses) const {
    Device& device = x.device();
    const int64_t count = logits.size(0);
    const Tensor part = x.Slice(0, start, count);
    device.matmul().Matmul({.a = part, .b = table.Transposed(), .out = logits, .bias = bias});
    device.loss().CrossEntropy(logits, targets.Slice(0, start, count),
                               weights.defined() ? weights.Slice(0, start, count) : Tensor(),
                               differentiates() ? scale : 0, losses.Slice(0, start, count));
    if (dx.defined()) {
      device.matmul().Matmul({.a = logits, .b = table, .out = dx.Slice(0, start, count)});
    }
    if (dtable.defined()) {
      device.matmul().Matmul(
          {.a = logits.Transposed(), .b = part, .out = dtable, .accumulate = start > 0});
    }
    if (dbias.defined()) {
      device.reduction().Reduce(ReduceOp::kSum, logits, 1, dbias.Unsqueezed(0), start > 0);
    }
  }
};

void CheckLinearCrossEntropy(const Variable& x, const Variable& table, const Variable& bias,
                             const Tensor& targets, const CrossEntropyOptions& options) {
  constexpr const char* kOperation = "linear_cross_entropy";
  ExpectRankAtLeast(kOperation, x, 1);
  ExpectAlike(kOperation, x.value(), table.value());
  ExpectShape(kOperation, "table", table.value(), {-1, x.size(-1)});
  if (bias.defined()) {
    ExpectAlike(kOperation, x.value(), bias.value());
    ExpectShape(kOperation, "bias", bias.value(), {table.size(0)});
  }
  const int64_t rows = AsStridedRows(x.value()).size(0);
  ExpectIndices(kOperation, "target", targets, rows, table.size(0));
  CheckWeights(kOperation, x, options, rows);
}

}  // namespace

Variable LinearCrossEntropy(const Variable& x, const Variable& table, const Variable& bias,
                            const Tensor& targets, const CrossEntropyOptions& options,
                            int64_t slice_elements) {
  CheckLinearCrossEntropy(x, table, bias, targets, options);
  Recorder recorder("linear_cross_entropy", x, table, bias);
  SlicedCrossEntropy pass;
  pass.x = AsStridedRows(x.value());
  pass.table = table.value().Contiguous();
  if (bias.defined()) pass.bias = bias.value().Contiguous();
  pass.targets = Flat(targets);
  pass.weights = Flat(options.weights);
  pass.scale = 1 / options.divisor;
  const int64_t rows = pass.x.size(0);
  const int64_t classes = table.size(0);
  const auto gradient_of = [&](int input, const Tensor& value) {
    return recorder.needs(input) ? Tensor::Empty(x.device(), value.shape(), x.dtype()) : Tensor();
  };
  pass.dx = gradient_of(0, pass.x);
  pass.dtable = gradient_of(1, pass.table);
  pass.dbias = gradient_of(2, pass.bias);
  if (rows == 0) {
    for (const Tensor& gradient : {pass.dtable, pass.dbias}) {
      if (gradient.defined()) gradient.Fill(0);
    }
  }
  const Tensor losses = Tensor::Empty(x.device(), {rows}, x.dtype());
  const int64_t slice = std::clamp<int64_t>(slice_elements / std::max<int64_t>(classes, 1), 1,
                                            std::max<int64_t>(rows, 1));
  const Tensor logits = Tensor::Empty(x.device(), {slice, classes}, x.dtype());
  for (int64_t start = 0; start < rows; start += slice) {
    pass.Run(start, logits.Slice(0, 0, std::min(slice, rows - start)), losses);
  }
  return recorder.Record(SumOf(losses, pass.scale), [dx = pass.dx, dtable = pass.dtable,
                                                     dbias = pass.dbias](BackwardContext& context) {
    const Tensor& dy = context.output_gradient();
    AddScaled(context, 0, dx, dy);
    AddScaled(context, 1, dtable, dy);
    AddScaled(context, 2, dbias, dy);
  });
}

}  // namespace trainyard::nn
