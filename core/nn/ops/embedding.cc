#include "core/nn/ops/embedding.h"

#include "core/nn/ops/support.h"
#include "core/nn/recorder.h"
#include "core/tensor/kernels/embedding_kernels.h"

namespace trainyard::nn {

Variable Embed(const Variable& table, const Tensor& indices, double scale) {
  ExpectFloating("embed", table);
  ExpectShape("embed", "table", table.value(), {-1, -1});
  ExpectIndices("embed", "token", indices, indices.defined() ? indices.elements() : 0,
                table.size(0));
  const Tensor flat = indices.Contiguous().View({indices.elements()});
  const Tensor y =
      Tensor::Empty(table.device(), indices.shape().WithAppended(table.size(1)), table.dtype());
  table.device().embedding().Gather(table.value().Contiguous(), flat, scale, AsRows(y));
  return Recorder("embed", table).Record(y, [flat, scale](BackwardContext& context) {
    const Tensor dy = AsRows(context.output_gradient());
    const GradientBuffer dtable = context.SumBuffer(0);
    dy.device().embedding().ScatterAdd(flat, dy, scale, dtable.tensor());
    dtable.Finish();
  });
}

}  // namespace trainyard::nn
