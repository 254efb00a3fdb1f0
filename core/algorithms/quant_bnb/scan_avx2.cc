#include "core/algorithms/quant_bnb/scan_functions.h"

namespace trainyard::quant_bnb {

const ScanFunctions& Avx2Scans() { return avx2::kFunctions; }

}  // namespace trainyard::quant_bnb
