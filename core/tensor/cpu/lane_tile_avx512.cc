#include "core/tensor/cpu/lane_tile_functions.h"

namespace trainyard {

LaneFunctions Avx512LaneFunctions() { return lanes_avx512::AllFunctions(); }

}  // namespace trainyard
