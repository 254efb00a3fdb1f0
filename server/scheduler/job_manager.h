// The life of every job, from acceptance to its end: the only place that changes a job's state.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "proto/schema/resource_names.h"
#include "server/execution/executor.h"
#include "server/scheduler/event_log.h"
#include "server/scheduler/gpu_pool.h"
#include "server/scheduler/queue.h"
#include "server/storage/blob_store.h"
#include "server/storage/catalogue.h"
#include "trainyard/v1/job.pb.h"
#include "trainyard/v1/server_service.pb.h"
#include "trainyard/v1/worker_service.pb.h"

namespace trainyard {

class JobObserver;

// The way back to one connected worker; implemented by the transport. Methods never block.
class WorkerLink {
 public:
  virtual ~WorkerLink() = default;
  virtual void Send(v1::ServerMessage message) = 0;
  // Ends the stream with this status. Nothing is sent afterwards.
  virtual void Close(absl::Status status) = 0;
};

// Thread-safe. Callbacks run on threads of the manager, the catalogue or the executor and must not
// block.
class JobManager {
 public:
  struct Options {
    Slots capacity;  // of this machine; the number of GPUs is that of `gpus`
    std::vector<GpuPool::Gpu> gpus;
    std::string worker_address;  // gRPC target for workers
    int64_t max_queued_jobs = 100'000;
    int64_t default_memory_bytes = 0;  // of jobs that ask for none; 0: no limit
    absl::Duration default_time_limit = absl::InfiniteDuration();
    absl::Duration cancel_grace_period = absl::Seconds(10);
    absl::Duration start_timeout = absl::Seconds(30);      // process start to Hello
    absl::Duration silence_timeout = absl::Seconds(30);    // no message of a connected worker: hung
    absl::Duration reconnect_timeout = absl::Seconds(30);  // connection lost, process alive
    absl::Duration retry_backoff = absl::Seconds(1);       // before attempt 2; doubled each time
    absl::Duration max_retry_backoff = absl::Minutes(5);
    SchedulingQueue::Options queue;  // `capacity` is taken from above
  };
  // Models for a worker.
  struct AssignedModels {
    std::vector<v1::AssignedModel> models;
    std::vector<std::shared_ptr<void>> holds;
  };
  struct Dependencies {
    Catalogue* catalogue;
    BlobStore* blobs;
    Executor* executor;
    Clock* clock;
    // The tables named in a resolved spec, with cache files that exist. Called on a thread that may
    // block.
    std::function<absl::StatusOr<std::vector<v1::AssignedTable>>(const v1::TrainingSpec&)>
        assign_tables;
    // The models named in a resolved spec, whose files are readable while `hold` lives. Called like
    // `assign_tables`; null: specs name none. NOT_FOUND when a model was deleted since, which is
    // the user's fault.
    std::function<absl::StatusOr<AssignedModels>(const v1::TrainingSpec&)> assign_models;
    JobObserver* observer = nullptr;  // see observer.h; outlives the manager
  };

  // Reads the unfinished jobs of an earlier run: workers that still live are adopted, other jobs
  // are queued again. Returns before everything is adopted; new jobs are accepted at once.
  static absl::StatusOr<std::unique_ptr<JobManager>> Start(const Options& options,
                                                           const Dependencies& dependencies);
  virtual ~JobManager() = default;

  using JobDone = std::function<void(absl::StatusOr<v1::Job>)>;

  // Accepts a job whose spec is resolved and valid; `job.name` is set. `done` runs when it is on
  // disk. `request_id` may be empty; `content_sha256` identifies the request's content. Errors:
  // ALREADY_EXISTS (reason REQUEST_ID_REUSED or JOB_EXISTS), RESOURCE_EXHAUSTED (queue full),
  // INVALID_ARGUMENT (asks for more than the machine has), UNAVAILABLE (shutting down).
  virtual void Create(v1::Job job, std::string request_id, std::string content_sha256,
                      JobDone done) = 0;
  virtual absl::StatusOr<v1::Job> Get(const JobName& name) = 0;
  virtual absl::StatusOr<JobPage> List(const JobQuery& query) = 0;
  // `etag` may be empty. Errors as in JobService.
  virtual void Cancel(const JobName& name, std::string etag, JobDone done) = 0;
  virtual void Delete(const JobName& name, std::string etag,
                      std::function<void(absl::Status)> done) = 0;
  // Opens a reader of the job's events, see event_log.h.
  virtual absl::StatusOr<std::unique_ptr<EventReader>> Watch(const JobName& name,
                                                             int64_t from_sequence) = 0;
  virtual v1::Queue QueueState(std::string_view project) = 0;

  // --- The workers' side; called by the transport.

  // Checks token or session key. On success the link gets an Assignment (perhaps later) and the
  // returned id stands for the session; a session of the same attempt that is still open is closed.
  // Errors: UNAUTHENTICATED (wrong, or a token used twice), FAILED_PRECONDITION (the attempt has
  // ended).
  virtual absl::StatusOr<int64_t> OpenSession(const v1::Hello& hello,
                                              std::shared_ptr<WorkerLink> link) = 0;
  // Events are acknowledged through the link when they are durable. INVALID_ARGUMENT for a gap or
  // for an event that a worker may not send: the transport closes the stream with it, and the
  // attempt ends with WORKER_LOST.
  virtual absl::Status OnEvents(int64_t session, v1::WorkerEvents events) = 0;
  virtual absl::Status OnFinished(int64_t session, v1::Finished finished) = 0;
  virtual void OnAlive(int64_t session, const v1::WorkerAlive& alive) = 0;
  // The stream is gone. `protocol_error`: the worker sent something that is no message.
  virtual void OnClosed(int64_t session, bool protocol_error) = 0;
  // Whether an artifact of this attempt may be stored now. UNAUTHENTICATED or FAILED_PRECONDITION.
  virtual absl::Status AuthoriseArtifact(const v1::ArtifactHeader& header) = 0;
  // Records a blob as a model file (until the attempt ends well) or as the job's checkpoint. `hold`
  // keeps the blob from being collected meanwhile.
  virtual absl::Status AddArtifact(const v1::ArtifactHeader& header, const BlobInfo& blob,
                                   std::shared_ptr<void> hold) = 0;

  // Stops starting jobs, refuses Create, ends all readers with UNAVAILABLE, closes the workers'
  // sessions. Workers go on and are adopted by the next run. Returns when all writes are durable.
  virtual void Shutdown() = 0;
};

}  // namespace trainyard
