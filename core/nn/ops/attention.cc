#include "core/nn/ops/attention.h"

#include <cmath>

#include "core/nn/ops/support.h"
#include "core/nn/recorder.h"
#include "core/tensor/kernels/attention_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

// [batch, n, heads * d] as [batch, heads, n, d].
Tensor ByHead(const Tensor& x, int heads) {
  return x.View({x.size(0), x.size(1), heads, x.size(2) / heads}).Permuted({0, 2, 1, 3});
}

void ExpectMarks(const char* name, const Tensor& marks, DType type, int64_t batch, int64_t n) {
  if (!marks.defined()) return;
  ExpectShape("attention", name, marks, {batch, n});
  if (marks.dtype() == type) return;
  ThrowInvalidTensor("attention: ", name, " are ", marks.Description(), "; expected ",
                     NameOf(type));
}

void Check(const Variable& q, const Variable& k, const Variable& v,
           const AttentionOptions& options) {
  ExpectSameFloating("attention", q, k);
  ExpectSameFloating("attention", q, v);
  ExpectShape("attention", "q", q.value(), {-1, -1, -1});
  ExpectShape("attention", "k", k.value(), {q.size(0), -1, q.size(2)});
  ExpectShape("attention", "v", v.value(), {q.size(0), k.size(1), -1});
  if (options.heads < 1 || q.size(2) % options.heads != 0 || v.size(2) % options.heads != 0) {
    ThrowInvalidTensor("attention: ", options.heads, " heads do not divide q ",
                       q.shape().ToString(), " and v ", v.shape().ToString());
  }
  if (options.query_segments.defined() != options.key_segments.defined()) {
    ThrowInvalidTensor("attention: segments of queries and keys go together");
  }
  ExpectMarks("query_segments", options.query_segments, DType::kInt32, q.size(0), q.size(1));
  ExpectMarks("key_segments", options.key_segments, DType::kInt32, q.size(0), k.size(1));
  ExpectMarks("key_mask", options.key_mask, DType::kUint8, q.size(0), k.size(1));
}

Tensor ContiguousOrNone(const Tensor& x) { return x.defined() ? x.Contiguous() : x; }

struct AttentionBackward {
  AttentionArguments forward;
  int heads;
  Tensor q;  // as the operation got them
  Tensor k;
  Tensor v;

  void operator()(BackwardContext& context) const {
    AttentionGradients gradients;
    gradients.dout = ByHead(WithUnitLastStride(context.output_gradient()), heads);
    const GradientBuffer dq = context.FreshBuffer(0, q);
    const GradientBuffer dk = context.FreshBuffer(1, k);
    const GradientBuffer dv = context.FreshBuffer(2, v);
    gradients.dq = ByHead(dq.tensor(), heads);
    gradients.dk = ByHead(dk.tensor(), heads);
    gradients.dv = ByHead(dv.tensor(), heads);
    forward.q.device().attention().AttendBackward(forward, gradients);
    for (const GradientBuffer* gradient : {&dq, &dk, &dv}) gradient->Finish();
  }
};

}  // namespace

Variable Attention(const Variable& q, const Variable& k, const Variable& v,
                   const AttentionOptions& options) {
  Check(q, k, v, options);
  const int heads = options.heads;
  Recorder recorder("attention", q, k, v);
  const Tensor out = Tensor::Empty(q.device(), {q.size(0), q.size(1), v.size(2)}, q.dtype());
  AttentionArguments arguments;
  arguments.q = ByHead(WithUnitLastStride(q.value()), heads);
  arguments.k = ByHead(WithUnitLastStride(k.value()), heads);
  arguments.v = ByHead(WithUnitLastStride(v.value()), heads);
  arguments.out = ByHead(out, heads);
  if (recorder.recording()) {
    arguments.logsumexp = Tensor::Empty(q.device(), {q.size(0), heads, q.size(1)}, q.dtype());
  }
  const double size = static_cast<double>(q.size(2) / heads);
  arguments.scale = options.scale != 0 ? options.scale : 1 / std::sqrt(size);
  arguments.causal = options.causal;
  arguments.query_segments = ContiguousOrNone(options.query_segments);
  arguments.key_segments = ContiguousOrNone(options.key_segments);
  arguments.key_mask = ContiguousOrNone(options.key_mask);
  q.device().attention().Attend(arguments);
  return recorder.Record(out, AttentionBackward{arguments, heads, q.value(), k.value(), v.value()});
}

}  // namespace trainyard::nn
