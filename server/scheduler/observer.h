// What the scheduler tells whoever measures it.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/time/time.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard {

// Methods are called from many threads, some of them under the job manager's lock: they must be
// quick and must not call the job manager. Calls about state are made when the change is durable.
class JobObserver {
 public:
  virtual ~JobObserver() = default;
  // A job went from one state to another; `from` is STATE_UNSPECIFIED for a new job. Jobs read
  // back after a restart are told as coming from STATE_UNSPECIFIED too.
  virtual void OnJobState(std::string_view /*algorithm*/, v1::Job::State /*from*/,
                          v1::Job::State /*to*/) {}
  // An attempt ended; `run_time` counts from its start.
  virtual void OnAttemptEnd(std::string_view /*algorithm*/, v1::Attempt::EndCause /*cause*/,
                            absl::Duration /*run_time*/) {}
  // A job left the queue after `wait`, which counts from its creation or, for a later attempt,
  // from the end of its back-off.
  virtual void OnDispatch(std::string_view /*algorithm*/, absl::Duration /*wait*/) {}
  // A worker process was started (or could not be) in `duration`.
  virtual void OnLaunch(bool /*ok*/, absl::Duration /*duration*/) {}
  // Events of a job were stored and shown to its watchers.
  virtual void OnEventsPublished(int64_t /*count*/) {}
  // Writing to the catalogue failed and will be tried again.
  virtual void OnStoreFailure() {}
};

}  // namespace trainyard
