// Figures of jobs, their attempts and the queue.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "absl/time/time.h"
#include "server/scheduler/observer.h"
#include "trainyard/v1/server_service.pb.h"

namespace prometheus {
class Registry;
}

namespace trainyard {

// Keeps Prometheus metrics in `registry`, which must live longer. Thread-safe. Labels take their
// values from closed sets: algorithms of this build, job states, end causes.
class JobMetrics final : public JobObserver {
 public:
  explicit JobMetrics(prometheus::Registry& registry);
  ~JobMetrics() override;

  void OnJobState(std::string_view algorithm, v1::Job::State from, v1::Job::State to) override;
  void OnAttemptEnd(std::string_view algorithm, v1::Attempt::EndCause cause,
                    absl::Duration run_time) override;
  void OnDispatch(std::string_view algorithm, absl::Duration wait) override;
  void OnLaunch(bool ok, absl::Duration duration) override;
  void OnEventsPublished(int64_t count) override;
  void OnStoreFailure() override;

  // Sets the gauges of queue and slots; called at each scrape.
  void SetQueue(const v1::Queue& queue);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trainyard
