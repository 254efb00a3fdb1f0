#include "server/telemetry/metrics_endpoint.h"

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/registry.h>

#include <exception>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace trainyard {
namespace {

// Brings the gauges up to date, then collects.
class Refreshed final : public prometheus::Collectable {
 public:
  Refreshed(std::shared_ptr<prometheus::Registry> registry, std::function<void()> refresh)
      : registry_(std::move(registry)), refresh_(std::move(refresh)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    refresh_();
    return registry_->Collect();
  }

 private:
  const std::shared_ptr<prometheus::Registry> registry_;
  const std::function<void()> refresh_;
};

class Endpoint final : public MetricsEndpoint {
 public:
  Endpoint(const std::string& listen, std::shared_ptr<Refreshed> metrics)
      : metrics_(std::move(metrics)), exposer_(listen, 1) {
    exposer_.RegisterCollectable(metrics_);
    const size_t colon = listen.rfind(':');
    address_ = absl::StrCat(listen.substr(0, colon), ":", exposer_.GetListeningPorts().at(0));
  }
  const std::string& address() const override { return address_; }

 private:
  const std::shared_ptr<Refreshed> metrics_;
  prometheus::Exposer exposer_;
  std::string address_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Start(
    const std::string& listen, std::shared_ptr<prometheus::Registry> registry,
    std::function<void()> refresh) {
  // The library tells of a port in use by an exception.
  try {
    return std::make_unique<Endpoint>(
        listen, std::make_shared<Refreshed>(std::move(registry), std::move(refresh)));
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat("cannot serve metrics on '", listen,
                                               "': it must be HOST:PORT, and not in use (",
                                               error.what(), ")"));
  }
}

}  // namespace trainyard
