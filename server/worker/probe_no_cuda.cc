// Of builds without CUDA.
#include "server/worker/probe.h"

namespace trainyard {

void AddCudaDevices(v1::ServerInfo&) {}

}  // namespace trainyard
