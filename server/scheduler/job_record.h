// What the job manager keeps in memory of one job that has not ended.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "proto/schema/resource_names.h"
#include "server/execution/executor.h"
#include "server/scheduler/job_event_log.h"
#include "server/storage/catalogue.h"
#include "trainyard/v1/job.pb.h"
#include "trainyard/v1/model.pb.h"
#include "trainyard/v1/worker_service.pb.h"

namespace trainyard {

class WorkerLink;

// Changes of one job that are committed together. A job has at most one unit at the catalogue; what
// happens meanwhile gathers in the next one. So the order of a job's changes is kept, and a unit
// that could not be written is written again before anything else of the job.
struct UnitOfWork {
  std::vector<v1::JobEvent> events;
  // The job as of the last of `events`, when its row is to be written; set when the unit leaves.
  bool write_job = false;
  v1::Job job;
  // The attempt as of the last of `events`, when its record is to be written; set likewise.
  bool write_attempt = false;
  std::optional<AttemptRecord> attempt;
  // The model of a job that succeeds; its name is made unique when it is inserted.
  std::optional<v1::Model> model;
  ModelContents contents;  // of its files that the catalogue keeps
  struct Checkpoint {
    int64_t step = 0;
    BlobInfo blob;
  };
  std::optional<Checkpoint> checkpoint;
  // Run under the manager's lock when all of this is durable and visible.
  std::vector<std::function<void()>> after;
};

// Why and how far an attempt is being stopped.
struct StopRequest {
  v1::Attempt::EndCause cause = v1::Attempt::END_CAUSE_UNSPECIFIED;
  std::string message;
  enum class Stage { kDeciding, kAsked, kTerminated, kKilled };
  Stage stage = Stage::kDeciding;
  absl::Duration next_stage_time = absl::InfiniteDuration();
};

// The attempt that holds slots now. Times are monotonic.
struct LiveAttempt {
  int64_t id = 0;  // unique in this run of the server
  std::string name;
  std::string token;  // until the worker is launched
  AttemptRecord record;
  int message_index = 0;  // in Job.attempts
  absl::Duration started;

  enum class Process { kNotStarted, kStarting, kRunning, kGone };
  Process process = Process::kNotStarted;
  bool adopted = false;  // launched by an earlier run of the server
  std::optional<WorkerExit> exit;

  int64_t session = 0;  // 0: no worker is connected
  std::shared_ptr<WorkerLink> link;
  bool has_connected = false;         // in this run of the server
  bool first_hello_waits = false;     // for the launch to be over
  bool assigned = false;              // in this session
  bool accepted = false;              // its worker has shown the token
  int64_t acknowledged_sequence = 0;  // newest durable worker event
  absl::Duration last_heard = absl::InfiniteDuration();

  enum class Inputs { kMissing, kReady };
  Inputs inputs = Inputs::kMissing;
  std::vector<v1::AssignedTable> tables;
  std::vector<v1::AssignedModel> models;
  std::string checkpoint_path;

  std::map<std::string, v1::ModelFile> files;  // by path
  // Whether it is noted, durably or not yet, that the worker began to store the model; the note is
  // all that the next run of the server would know of it.
  bool upload_noted = false;
  bool upload_note_durable = false;
  bool files_lost = false;                   // they were stored with an earlier run of the server
  std::vector<std::shared_ptr<void>> holds;  // of blobs that the catalogue does not name yet

  std::optional<StopRequest> stop;
  bool ended = false;        // its end has been decided
  bool end_durable = false;  // and stored

  // Deadlines; infinite when they do not apply.
  absl::Duration start_deadline = absl::InfiniteDuration();
  absl::Duration reconnect_deadline = absl::InfiniteDuration();
  absl::Duration time_limit_deadline = absl::InfiniteDuration();
  absl::Duration exit_deadline = absl::InfiniteDuration();   // of a worker that has finished
  bool exit_demanded = false;                                // by SIGTERM; the next step is a kill
  absl::Duration drain_deadline = absl::InfiniteDuration();  // for what a dead worker had sent
};

// A job whose state is changing or that has an attempt.
struct LiveJob {
  v1::Job job;      // as of the newest change, durable or not
  v1::Job visible;  // as of the newest durable change
  std::shared_ptr<JobEventLog> log;
  std::unique_ptr<LiveAttempt> attempt;

  UnitOfWork next;
  std::shared_ptr<UnitOfWork> in_flight;
  int store_failures = 0;
  absl::Duration retry_store_time = absl::InfiniteDuration();
  absl::Duration row_written = -absl::InfiniteDuration();
  absl::Duration log_flush_time = absl::InfiniteDuration();
  int64_t pending_event_bytes = 0;

  // Run under the lock when the job has ended and nothing of it is left.
  std::vector<std::function<void()>> when_gone;
};

// A job that has not ended, or whose processes are not gone. A job that merely waits in the queue
// is kept as bytes only.
struct JobRecord {
  JobName name;
  std::string key;     // name.ToString()
  std::string packed;  // serialised job as of the newest durable change; empty while `live`
  int64_t newest_sequence = 0;  // durable
  std::unique_ptr<LiveJob> live;
  absl::Duration timer = absl::InfiniteDuration();  // as registered with the manager
};

}  // namespace trainyard
