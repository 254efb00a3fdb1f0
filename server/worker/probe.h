// Probe mode: which processors this worker can use.
#pragma once

#include <string>
#include <string_view>

#include "trainyard/v1/server_service.pb.h"

namespace trainyard {

// Adds the GPUs that this build can use; where a driver is there but fails, a device that says why
// it cannot be used.
void AddCudaDevices(v1::ServerInfo& info);

// The processors of this machine that this build can use, in the field `devices`.
v1::ServerInfo FindDevices();

// Model of the CPU in the text of /proc/cpuinfo; empty when it is not told.
std::string CpuModelIn(std::string_view cpuinfo);

// Writes the devices to `result_fd`, serialised, or for people to standard output when it is
// negative. Returns a WorkerExitCode.
int RunProbe(int result_fd);

}  // namespace trainyard
