#include "core/tensor/cpu/element_block_functions.h"

namespace trainyard {

void SetAvx512Blocks(ElementBlocks<float>& blocks) { lanes_avx512::SetAll(blocks); }

}  // namespace trainyard
