#include "core/tensor/cpu/gemm_epilogue.h"

#include "core/tensor/cpu/element_blocks.h"

namespace trainyard {

template <typename T>
void ApplyEpilogue(const GemmEpilogue<T>& epilogue, int64_t rows, int64_t columns, T* values,
                   int64_t stride) {
  const auto function = BlocksOf<T>().bias_activation[static_cast<int>(epilogue.activation)];
  for (int64_t i = 0; i < rows; ++i) {
    T* const row = values + i * stride;
    Block<T> block;
    block.count = columns;
    block.in[0] = row;
    block.in[1] = epilogue.bias;
    block.out[0] = row;
    block.out[1] = epilogue.pre == nullptr ? nullptr : epilogue.pre + i * epilogue.pre_stride;
    function(block);
  }
}

template void ApplyEpilogue(const GemmEpilogue<float>&, int64_t, int64_t, float*, int64_t);
template void ApplyEpilogue(const GemmEpilogue<double>&, int64_t, int64_t, double*, int64_t);

}  // namespace trainyard
