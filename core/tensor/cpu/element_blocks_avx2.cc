#include "core/tensor/cpu/element_block_functions.h"

namespace trainyard {

void SetAvx2Blocks(ElementBlocks<float>& blocks) { lanes_avx2::SetAll(blocks); }

}  // namespace trainyard
