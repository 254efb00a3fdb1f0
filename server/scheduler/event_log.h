// The events of a job as its watchers read them: one shared log, a cursor per reader.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace trainyard {

// A piece of the event stream.
struct EventBatch {
  // A serialised v1::WatchJobResponse, shared between readers; null when nothing is there now.
  std::shared_ptr<const std::string> response;
  int64_t newest_sequence = 0;
  // Whether this batch ends with the event that ended the job: nothing will follow.
  bool last = false;
};

// One reader. Methods are called by one thread at a time. Holds a position, not events: a reader
// that stops costs no memory and slows nobody.
class EventReader {
 public:
  virtual ~EventReader() = default;
  // The next events, from memory or from the store (which may block for a short read): at most
  // `max_bytes` of them, but at least one if there is one. Errors: UNAVAILABLE (the server is going
  // down), NOT_FOUND (the job was deleted).
  virtual absl::StatusOr<EventBatch> Next(int64_t max_bytes) = 0;
  // Calls `ready` once, on any thread, when Next would no longer give an empty batch; at once if
  // that is so already. `ready` must not block. A new call replaces the one before; the destructor
  // cancels it and waits for a call that is running.
  virtual void NotifyWhenReady(std::function<void()> ready) = 0;
};

}  // namespace trainyard
