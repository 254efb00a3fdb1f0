#include "core/tensor/cpu/element_block_functions.h"
#include "core/tensor/cpu/optimizer_block_functions.h"
#include "core/tensor/cpu/random_block_functions.h"
#include "core/tensor/cpu/row_block_functions.h"

namespace trainyard {

void SetAvx2Blocks(ElementBlocks<float>& blocks) { lanes_avx2::SetAll(blocks); }
void SetAvx2Blocks(RowBlocks<float>& blocks) { lanes_avx2::SetAll(blocks); }
void SetAvx2Blocks(OptimizerBlocks<float>& blocks) { lanes_avx2::SetAll(blocks); }
PhiloxWords Avx2PhiloxWords() { return lanes_avx2::FillWords; }

}  // namespace trainyard
