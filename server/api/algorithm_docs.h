// Algorithms as GetAlgorithm shows them.
#pragma once

#include "core/algorithms/algorithm.h"
#include "trainyard/v1/server_service.pb.h"

namespace trainyard {

// Name, title, citation and devices.
v1::Algorithm SummariseAlgorithm(const Algorithm& algorithm);

// The same with every field of its spec and the spec's defaults.
v1::Algorithm DescribeAlgorithm(const Algorithm& algorithm);

}  // namespace trainyard
