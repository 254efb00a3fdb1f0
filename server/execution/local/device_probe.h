// Finds the processors of this machine.
#pragma once

#include <filesystem>
#include <vector>

#include "absl/status/statusor.h"
#include "trainyard/v1/server_service.pb.h"

namespace trainyard {

// Asks the worker binary, which alone knows what it was built for. INTERNAL when it fails, for
// example because a driver crashes; UNAVAILABLE when it does not answer within 30 s.
absl::StatusOr<std::vector<v1::Device>> ProbeDevices(const std::filesystem::path& worker_binary);

}  // namespace trainyard
