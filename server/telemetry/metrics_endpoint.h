// Where Prometheus reads the metrics.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace prometheus {
class Registry;
}

namespace trainyard {

// Serves `http://ADDRESS/metrics` until destroyed.
class MetricsEndpoint {
 public:
  // `listen` as HOST:PORT; port 0 picks one. `refresh` runs before each scrape, on a thread of the
  // endpoint. UNAVAILABLE when the address cannot be bound.
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Start(
      const std::string& listen, std::shared_ptr<prometheus::Registry> registry,
      std::function<void()> refresh);
  virtual ~MetricsEndpoint() = default;
  // HOST:PORT that is listened on.
  virtual const std::string& address() const = 0;
};

}  // namespace trainyard
