// The worker's side of WorkerService.Session: connects, stays connected, sends events.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "server/worker/event_buffer.h"
#include "server/worker/server_connection.h"

namespace trainyard {

// Runs the session of one attempt. Run is called once; the other methods by any thread.
class Session {
 public:
  struct Options {
    std::string attempt;
    std::string token;
    std::string session_key;  // a secret of this process, which proves its sessions
    std::string version;
    absl::Duration alive_interval = absl::Seconds(5);
    // Without a connection for longer than this, the worker gives up.
    absl::Duration give_up_after = absl::Minutes(10);
    absl::Duration first_pause = absl::Milliseconds(50);  // between tries to connect; doubled
    absl::Duration longest_pause = absl::Seconds(1);
    Clock* clock = &Clock::Real();
  };
  struct Handlers {
    // Once, with the first assignment. Called by the thread in Run; must not block.
    std::function<void(v1::Assignment)> on_assignment;
    // The attempt is to stop; maybe more than once.
    std::function<void()> on_cancel;
    // The server has stored the end; Run returns soon. May end the process.
    std::function<void()> on_stored = [] {};
  };
  enum class End {
    kFinished,    // the server has stored the end
    kRefused,     // the server does not want this worker; see `last_status`
    kServerGone,  // no connection for `give_up_after`
  };

  Session(const Options& options, Handlers handlers, ServerConnection& connection,
          EventBuffer& events);

  // Returns when the session is over for good. A lost connection is made again, with pauses that
  // grow; what was not acknowledged is sent again.
  End Run();

  const absl::Status& last_status() const { return last_status_; }

  // Sends garbage over the connection, see FaultHooks. Returns when it was written.
  void WriteGarbage();

 private:
  enum class StreamEnd { kFinished, kLost };

  StreamEnd RunStream(SessionStream& stream);
  void ReadMessages(SessionStream& stream, StreamEnd& end);
  void WriteMessages(SessionStream& stream, const std::atomic<bool>& stop);
  v1::WorkerMessage MakeHello() const;
  void OnAssignment(v1::Assignment assignment);

  const Options options_;
  const Handlers handlers_;
  ServerConnection& connection_;
  EventBuffer& events_;
  bool has_assignment_ = false;  // Run's thread
  // Whether the server has stored that this worker has the job; Run's thread.
  bool known_ = false;
  absl::Status last_status_;
  // Whether this stream's Hello was answered.
  std::atomic<bool> assigned_ = false;

  Mutex garbage_mutex_;
  bool garbage_wanted_ ABSL_GUARDED_BY(garbage_mutex_) = false;
};

// A sign of life with the figures of this process.
v1::WorkerMessage MakeAlive();

}  // namespace trainyard
