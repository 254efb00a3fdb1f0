// The host in place of a GPU.
#pragma once

#include <cstdint>
#include <memory>

#include "core/tensor/cuda/interpreter/block_interpreter.h"
#include "core/tensor/cuda/platform.h"

namespace trainyard::cuda {

// Launches run at once, in the calling thread.
std::unique_ptr<Platform> MakeInterpretedPlatform(ThreadOrder order);

// How many launches and products `platform` (an interpreted one) has run: tests of graphs look at
// it.
int64_t LaunchesOf(const Platform& platform);

}  // namespace trainyard::cuda
