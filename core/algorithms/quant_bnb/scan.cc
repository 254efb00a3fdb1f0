#include "core/algorithms/quant_bnb/scan.h"

#include <cstdint>

namespace trainyard::quant_bnb {

const ScanFunctions& Avx512Scans();  // scan_avx512.cc

namespace {

bool HasAvx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

int64_t BytesOf(ScanType type) {
  switch (type) {
    case ScanType::kInt16:
      return 2;
    case ScanType::kInt32:
      return 4;
    case ScanType::kDouble:
      break;
  }
  return 8;
}

}  // namespace

int64_t ScratchBytes(int rows, int groups, int class_count, ScanType type) {
  const int64_t lanes = BytesOf(type) * kLanes * groups * 2;
  return lanes * (2 * static_cast<int64_t>(class_count) + rows + 1);
}

const ScanFunctions& FastestScans() {
  static const ScanFunctions& fastest = HasAvx512() ? Avx512Scans() : Avx2Scans();
  return fastest;
}

}  // namespace trainyard::quant_bnb
