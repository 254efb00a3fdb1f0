// What this process uses of the machine.
#pragma once

#include <cstdint>

namespace trainyard {

// Resident memory now, in bytes; 0 when it cannot be read.
int64_t ResidentBytes();

// CPU time of all threads so far, in s.
double CpuSeconds();

}  // namespace trainyard
