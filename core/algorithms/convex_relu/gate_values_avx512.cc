#include "core/algorithms/convex_relu/gate_value_functions.h"

namespace trainyard::convex_relu {

GateValueFunction Avx512GateValues() { return gates_avx512::Values; }

}  // namespace trainyard::convex_relu
