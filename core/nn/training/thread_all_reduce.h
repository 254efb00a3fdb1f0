// Workers that are threads of one process.
#pragma once

#include <memory>
#include <vector>

#include "core/nn/training/all_reduce.h"

namespace trainyard::nn {

// The ends for `workers` >= 1 threads, by rank. Their tensors lie on the host. An end may outlive
// the others.
std::vector<std::unique_ptr<AllReduce>> MakeThreadAllReduce(int workers);

}  // namespace trainyard::nn
