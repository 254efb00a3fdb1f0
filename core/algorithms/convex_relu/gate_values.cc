#include "core/algorithms/convex_relu/gate_values.h"

namespace trainyard::convex_relu {

GateValueFunction Avx2GateValues();    // gate_values_avx2.cc
GateValueFunction Avx512GateValues();  // gate_values_avx512.cc

GateValueFunction GateValues(InstructionSet set) {
  return set == InstructionSet::kAvx512 ? Avx512GateValues() : Avx2GateValues();
}

}  // namespace trainyard::convex_relu
