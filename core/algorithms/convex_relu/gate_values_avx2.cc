#include "core/algorithms/convex_relu/gate_value_functions.h"

namespace trainyard::convex_relu {

GateValueFunction Avx2GateValues() { return gates_avx2::Values; }

}  // namespace trainyard::convex_relu
