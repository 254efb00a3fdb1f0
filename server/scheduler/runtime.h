// The threads and the timer of the job manager, as a dependency: tests run its work by hand.
#pragma once

#include <functional>
#include <memory>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/notification.h"

namespace trainyard {

// Runs the job manager's work outside its lock. Thread-safe. No method runs a function before it
// returns.
class Runtime {
 public:
  virtual ~Runtime() = default;
  // Work that may block: starting and ending processes.
  virtual void PostProcessWork(std::function<void()> work) = 0;
  // Work that may block for long: preparing tables, reading the catalogue.
  virtual void PostDataWork(std::function<void()> work) = 0;
  // Short callbacks to the outside, one after another in the order of the calls.
  virtual void Notify(std::function<void()> callback) = 0;
  // Sees to it that `tick` is called when the clock's monotonic time reaches `time` at the latest.
  virtual void WakeAt(absl::Duration time) = 0;

  // Waits for the notification, at most so long by the real clock. False when it did not come.
  virtual bool Wait(Notification& notification, absl::Duration timeout) = 0;

  // Begins to call `tick`, which does what is due and returns the next time it wants to be called.
  virtual void Start(std::function<absl::Duration()> tick) = 0;
  // Finishes the work and the callbacks posted so far. Later work is dropped, callbacks still run.
  virtual void Stop() = 0;
};

// A runtime with threads of its own.
std::unique_ptr<Runtime> MakeThreadedRuntime(Clock* clock);

}  // namespace trainyard
