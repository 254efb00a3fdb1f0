#define TRAINYARD_LANES_DOUBLE
#include "core/tensor/cpu/element_block_functions.h"
#include "core/tensor/cpu/optimizer_block_functions.h"
#include "core/tensor/cpu/row_block_functions.h"

namespace trainyard {

void SetDoubleBlocks(ElementBlocks<double>& blocks) { lanes_double::SetAll(blocks); }
void SetDoubleBlocks(RowBlocks<double>& blocks) { lanes_double::SetAll(blocks); }
void SetDoubleBlocks(OptimizerBlocks<double>& blocks) { lanes_double::SetAll(blocks); }

}  // namespace trainyard
