// The job type that exercises the service instead of learning; see diagnostic.proto.
#pragma once

#include "core/algorithms/algorithm.h"

namespace trainyard {

// Steps are numbered 1 to `steps`; step k reports `step_value` = k². The checksum is the sum of
// k² over all steps of all attempts, so that 1² + … + n² = n (n + 1) (2n + 1) / 6 shows that a job
// resumed from a checkpoint did every step exactly once.
const Algorithm& DiagnosticAlgorithm();

}  // namespace trainyard
