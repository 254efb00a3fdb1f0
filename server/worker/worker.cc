#include "server/worker/worker.h"

#include <signal.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "core/algorithms/registry.h"
#include "core/base/clock.h"
#include "core/base/secret.h"
#include "server/execution/worker_exit_codes.h"
#include "server/worker/crash_report.h"
#include "server/worker/event_buffer.h"
#include "server/worker/session.h"
#include "server/worker/training_run.h"
#include "server/worker/worker_context.h"

namespace trainyard {
namespace {

constexpr int kSessionKeyBytes = 32;

class Worker {
 public:
  Worker(const WorkerOptions& options, ServerConnection& connection)
      : options_(options),
        connection_(connection),
        session_key_(RandomHexToken(kSessionKeyBytes)),
        events_(EventBuffer::Options()),
        session_({.attempt = options.attempt,
                  .token = options.token,
                  .session_key = session_key_,
                  .version = TRAINYARD_VERSION,
                  .alive_interval = options.alive_interval,
                  .give_up_after = options.give_up_after},
                 {.on_assignment = [this](v1::Assignment a) { StartTraining(std::move(a)); },
                  .on_cancel = [this] { Cancel(); },
                  .on_stored = options.on_stored},
                 connection, events_) {}

  int Run() {
    std::thread(&Worker::AwaitTermination, this).detach();
    const Session::End end = session_.Run();
    if (end == Session::End::kFinished) {
      training_.join();
      return kWorkerDone;
    }
    const bool refused = end == Session::End::kRefused;
    std::fprintf(stderr, "trainyard-worker: %s: %s\n",
                 refused ? "refused by the server" : "the server is gone",
                 session_.last_status().ToString().c_str());
    return refused ? kWorkerRefused : kWorkerServerGone;
  }

 private:
  void Cancel() {
    cancelled_ = true;
    events_.StopWaiting();
  }

  void AwaitTermination() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    for (int signal = 0;;) {
      if (sigwait(&signals, &signal) == 0) Cancel();
    }
  }

  void StartTraining(v1::Assignment assignment) {
    training_ = std::thread([this, assignment = std::move(assignment)] { Train(assignment); });
  }

  void Train(const v1::Assignment& assignment) {
    UseAlternateSignalStack();
    const std::filesystem::path model_folder = options_.work_folder / "model";
    const ArtifactUploader uploader(
        {.attempt = options_.attempt,
         .session_key = session_key_,
         .check_cancelled =
             [this] {
               return cancelled_ ? absl::CancelledError("the job is being cancelled")
                                 : absl::OkStatus();
             },
         .give_up_after = options_.give_up_after},
        connection_);
    WorkerContext context(assignment, model_folder,
                          {.events = &events_,
                           .cancelled = &cancelled_,
                           .uploader = &uploader,
                           .write_garbage = [this] { session_.WriteGarbage(); }});
    events_.Finish(RunTraining(assignment, FindAlgorithm(AlgorithmNameOf(assignment.spec())),
                               context, uploader, Clock::Real()));
  }

  const WorkerOptions options_;
  ServerConnection& connection_;
  const std::string session_key_;
  std::atomic<bool> cancelled_ = false;
  EventBuffer events_;
  Session session_;
  std::thread training_;
};

}  // namespace

int RunWorker(const WorkerOptions& options, ServerConnection& connection) {
  // Never destroyed: its threads may still run when it is over.
  return (new Worker(options, connection))->Run();
}

}  // namespace trainyard
