#include "core/algorithms/convex_relu/subset_sum_functions.h"

namespace trainyard::convex_relu {

const SubsetSumFunctions<float>& Avx2FloatSums() { return avx2::kFunctions<float>; }
const SubsetSumFunctions<double>& Avx2DoubleSums() { return avx2::kFunctions<double>; }

}  // namespace trainyard::convex_relu
