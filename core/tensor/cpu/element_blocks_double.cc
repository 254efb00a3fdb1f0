#define TRAINYARD_LANES_DOUBLE
#include "core/tensor/cpu/element_block_functions.h"

namespace trainyard {

void SetDoubleBlocks(ElementBlocks<double>& blocks) { lanes_double::SetAll(blocks); }

}  // namespace trainyard
