#include "core/algorithms/convex_relu/subset_sum_functions.h"

namespace trainyard::convex_relu {

const SubsetSumFunctions<float>& Avx512FloatSums() { return avx512::kFunctions<float>; }
const SubsetSumFunctions<double>& Avx512DoubleSums() { return avx512::kFunctions<double>; }

}  // namespace trainyard::convex_relu
