// What the benchmarks of the API have in common.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdlib>
#include <iostream>

#include "tests/benchmarks/api/floor_server.h"

namespace trainyard {

using SteadyClock = std::chrono::steady_clock;

inline double Seconds(SteadyClock::time_point since) {
  return std::chrono::duration<double>(SteadyClock::now() - since).count();
}

inline void Require(const grpc::Status& status) {
  if (status.ok()) return;
  std::cerr << status.error_message() << std::endl;
  std::abort();
}

inline FloorServer& Floor() {
  static FloorServer& floor = *new FloorServer();
  return floor;
}

}  // namespace trainyard
