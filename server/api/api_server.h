// The listening side of the API: user services on TCP, the workers' service on a Unix socket.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/api/services.h"

namespace trainyard {

// Largest message that the server receives, in bytes.
inline constexpr int kMaxMessageBytes = 4 << 20;

// Two gRPC servers. Users' services, health and reflection are on the TCP address; the workers'
// service is on the Unix socket alone. Thread-safe.
class ApiServer {
 public:
  struct Options {
    std::string listen = "127.0.0.1:0";  // HOST:PORT; port 0 picks one
    std::string worker_socket;           // path of the Unix socket; empty: no workers' service
    int max_concurrent_streams = 1000;   // of one connection
    int64_t memory_quota_bytes = int64_t{1} << 30;  // that gRPC may use for buffers and calls
  };
  // Binds and serves. UNAVAILABLE when an address is in use or cannot be bound. `context` must
  // outlive the server, its job manager included.
  static absl::StatusOr<std::unique_ptr<ApiServer>> Start(const Options& options,
                                                          const ServiceContext& context);
  virtual ~ApiServer() = default;

  // HOST:PORT that is listened on.
  virtual const std::string& address() const = 0;
  // What the health service says of the server and each of its services.
  virtual void SetServing(bool serving) = 0;
  // Lets calls in progress end until `grace` has passed, then cancels them. Returns when none is
  // left. The job manager must have been shut down before, which ends watches and sessions.
  virtual void Shutdown(absl::Duration grace) = 0;
};

}  // namespace trainyard
