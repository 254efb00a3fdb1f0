#include "core/tensor/cpu/element_block_functions.h"
#include "core/tensor/cpu/optimizer_block_functions.h"
#include "core/tensor/cpu/random_block_functions.h"
#include "core/tensor/cpu/row_block_functions.h"

namespace trainyard {

void SetAvx512Blocks(ElementBlocks<float>& blocks) { lanes_avx512::SetAll(blocks); }
void SetAvx512Blocks(RowBlocks<float>& blocks) { lanes_avx512::SetAll(blocks); }
void SetAvx512Blocks(OptimizerBlocks<float>& blocks) { lanes_avx512::SetAll(blocks); }
PhiloxWords Avx512PhiloxWords() { return lanes_avx512::FillWords; }

}  // namespace trainyard
