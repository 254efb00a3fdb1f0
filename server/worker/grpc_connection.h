// The worker's connection to the server by gRPC.
#pragma once

#include <memory>
#include <string>

#include "server/worker/server_connection.h"

namespace trainyard {

// `target` is a gRPC target, for example `unix:/run/trainyard/worker.sock`. Connects when it is
// used, and again by itself.
std::unique_ptr<ServerConnection> MakeGrpcConnection(const std::string& target);

}  // namespace trainyard
