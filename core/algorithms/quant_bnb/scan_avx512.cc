#include "core/algorithms/quant_bnb/scan_functions.h"

namespace trainyard::quant_bnb {

const ScanFunctions& Avx512Scans() { return avx512::kFunctions; }

}  // namespace trainyard::quant_bnb
