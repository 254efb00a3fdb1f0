#include "core/algorithms/convex_relu/subset_sums.h"

namespace trainyard::convex_relu {

const SubsetSumFunctions<float>& Avx2FloatSums();  // subset_sums_avx2.cc
const SubsetSumFunctions<double>& Avx2DoubleSums();
const SubsetSumFunctions<float>& Avx512FloatSums();  // subset_sums_avx512.cc
const SubsetSumFunctions<double>& Avx512DoubleSums();

InstructionSet FastestInstructionSet() {
  static const bool kHasAvx512 = __builtin_cpu_supports("avx512f");
  return kHasAvx512 ? InstructionSet::kAvx512 : InstructionSet::kAvx2;
}

template <>
const SubsetSumFunctions<float>& SubsetSums<float>(InstructionSet set) {
  return set == InstructionSet::kAvx512 ? Avx512FloatSums() : Avx2FloatSums();
}

template <>
const SubsetSumFunctions<double>& SubsetSums<double>(InstructionSet set) {
  return set == InstructionSet::kAvx512 ? Avx512DoubleSums() : Avx2DoubleSums();
}

}  // namespace trainyard::convex_relu
