#include "core/tensor/cpu/lane_tile_functions.h"

namespace trainyard {

LaneFunctions Avx2LaneFunctions() { return lanes_avx2::AllFunctions(); }

}  // namespace trainyard
