// The job manager's parts; see job_manager.h for what it does.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "core/base/mutex.h"
#include "server/scheduler/ended_jobs.h"
#include "server/scheduler/job_event_log.h"
#include "server/scheduler/job_manager.h"
#include "server/scheduler/job_record.h"
#include "server/scheduler/observer.h"
#include "server/scheduler/runtime.h"

namespace trainyard {

// One mutex guards all state and is never held while something blocks. Calls to the outside
// (links, callers' callbacks, readers) go through Runtime::Notify, which keeps their order; calls
// to the executor and for tables go through its work threads; the catalogue calls back on its own.
class JobManagerImpl : public JobManager {
 public:
  JobManagerImpl(const Options& options, const Dependencies& dependencies,
                 std::unique_ptr<Runtime> runtime);
  // Does not wait for anything; what was under way is as after a crash unless Shutdown came first.
  ~JobManagerImpl() override;

  // Reads the unfinished jobs and starts the timer.
  absl::Status Recover();

  void Create(v1::Job job, std::string request_id, std::string content_sha256,
              JobDone done) override;
  absl::StatusOr<v1::Job> Get(const JobName& name) override;
  absl::StatusOr<JobPage> List(const JobQuery& query) override;
  void Cancel(const JobName& name, std::string etag, JobDone done) override;
  void Delete(const JobName& name, std::string etag,
              std::function<void(absl::Status)> done) override;
  absl::StatusOr<std::unique_ptr<EventReader>> Watch(const JobName& name,
                                                     int64_t from_sequence) override;
  v1::Queue QueueState(std::string_view project) override;

  absl::StatusOr<int64_t> OpenSession(const v1::Hello& hello,
                                      std::shared_ptr<WorkerLink> link) override;
  absl::Status OnEvents(int64_t session, v1::WorkerEvents events) override;
  absl::Status OnFinished(int64_t session, v1::Finished finished) override;
  void OnAlive(int64_t session, const v1::WorkerAlive& alive) override;
  void OnClosed(int64_t session, bool protocol_error) override;
  absl::Status AuthoriseArtifact(const v1::ArtifactHeader& header) override;
  absl::Status AddArtifact(const v1::ArtifactHeader& header, const BlobInfo& blob,
                           std::shared_ptr<void> hold) override;
  void Shutdown() override;

  // Does what is due; returns when to call it again.
  absl::Duration RunTimers();
  // Bytes of memory that event logs hold.
  int64_t event_log_bytes() const { return logs_->memory_bytes(); }

 private:
  using Cause = v1::Attempt::EndCause;

  // The way of event logs, which may outlive the manager in a reader's hands, to the runtime.
  struct LogNotifier {
    Mutex mutex;
    Runtime* runtime ABSL_GUARDED_BY(mutex) = nullptr;
  };
  // Lets callbacks that outlive the manager find out that it is gone.
  struct Gate {
    Mutex mutex;
    bool open ABSL_GUARDED_BY(mutex) = true;
    // Callbacks that found it open; the manager waits for them.
    int running ABSL_GUARDED_BY(mutex) = 0;
  };
  // `function` as something that may run at any time, also after the manager's end.
  template <typename Function>
  auto Guarded(Function function) {
    return [gate = gate_, function = std::move(function)](auto&&... arguments) {
      {
        MutexLock lock(&gate->mutex);
        if (!gate->open) return;
        ++gate->running;
      }
      function(std::forward<decltype(arguments)>(arguments)...);
      MutexLock lock(&gate->mutex);
      --gate->running;
    };
  }

  // --- Creating (job_creation.cc).
  struct Creation;
  void OnCreated(const std::shared_ptr<Creation>& creation, const absl::Status& status);
  absl::Status CheckFits(const v1::Job& job) const;
  void FillServerDefaults(v1::Job& job) const;

  // --- Reading (job_reads.cc).
  // The job as it is durable: live, in the cache of ended ones, or from the catalogue (blocks).
  absl::StatusOr<v1::Job> Read(const JobName& name);
  JobRecord* Find(const JobName& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::Job VisibleJob(const JobRecord& record) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- Storing (job_storing.cc).
  LiveJob& MakeLive(JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  JobRecord& AddRecord(const JobName& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Appends an event to the next unit and applies it to the job.
  void AddEvent(LiveJob& live, v1::JobEvent event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Changes the state, with its event. False, with nothing changed, when that is not legal.
  bool ChangeState(LiveJob& live, v1::StateChange change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Hands what is pending to the catalogue unless a unit is under way, and sets the timer.
  void Store(JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteUnit(JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnStored(const std::string& key, const std::shared_ptr<UnitOfWork>& unit,
                const absl::Status& status);
  void ShowUnit(JobRecord& record, UnitOfWork& unit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Answers with the job once all of its changes so far are durable.
  void ReplyWhenDurable(JobRecord& record, JobDone done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Forgets what is not needed any more: all of an ended job, the live part of a queued one.
  void Retire(JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends every operation on a job: drops its attempt if it is over, stores, retires. `record` may
  // be gone afterwards.
  void Settle(JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The only deadline or deadlines that apply to an attempt in its situation.
  absl::Duration NextDeadline(const LiveAttempt& attempt) const;
  void SetTimer(JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- Attempts (job_attempts.cc).
  void Enqueue(JobRecord& record, const v1::Job& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Starts whatever may start now.
  void Schedule() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartAttempt(JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PostLaunch(JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Launch(int64_t attempt_id, const WorkerLaunch& launch);
  void OnLaunched(int64_t attempt_id, const absl::StatusOr<std::string>& process, int64_t pid);
  void PostInputs(JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PrepareInputs(int64_t attempt_id, const JobName& name, const v1::TrainingSpec& spec,
                     bool may_have_checkpoint);
  void OnExit(int64_t attempt_id, WorkerExit exit);
  // Decides the end of an attempt whose processes are gone and that did not finish.
  void EndByExit(JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Decides the end of the attempt and the job's next state, in one unit.
  void EndAttempt(JobRecord& record, Cause cause, absl::Status error, bool may_retry = true)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Drops the attempt once it has ended, durably, and its processes are gone.
  void DropAttempt(JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::Job::State StateAfter(const LiveJob& live, Cause cause, bool may_retry) const;
  // Frees the slots of an attempt that has no process any more.
  void ReleaseSlots(JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  JobRecord* FindAttempt(int64_t attempt_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Fails a queued job that could never start.
  void FailUnfitting(JobRecord& record, const absl::Status& reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- Stopping (job_stopping.cc).
  void RequestStop(JobRecord& record, Cause cause, std::string message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AskToStop(JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TerminateWorker(JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Kills the attempt, which then ends with `cause` unless a cause was set before.
  void KillWorker(JobRecord& record, Cause cause, std::string message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CancelLive(JobRecord& record, JobDone done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CancelEnded(const JobName& name, const std::string& etag, const JobDone& done);
  void DeleteStored(const JobName& name, const std::string& etag,
                    std::function<void(absl::Status)> done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CheckDeadlines(JobRecord& record, absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration GracePeriod(const v1::Job& job) const;

  // --- Sessions (job_sessions.cc).
  JobRecord* FindSession(int64_t session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckHello(const v1::Hello& hello, const LiveAttempt& attempt) const;
  // Lets the job go to RUNNING, for the first session of an attempt.
  void AcceptFirstHello(JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Sends the assignment when everything that it needs is there.
  void TryAssign(JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Send(const LiveAttempt& attempt, v1::ServerMessage message);
  // Ends the connection, if there is one.
  void CloseSession(LiveAttempt& attempt, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The worker broke the protocol: kills it; returns the error for the transport.
  absl::Status ProtocolError(JobRecord& record, std::string_view message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SucceedAttempt(JobRecord& record, v1::Finished finished)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<JobRecord*> FindArtifactAttempt(const v1::ArtifactHeader& header)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status StoreCheckpoint(const v1::ArtifactHeader& header, const BlobInfo& blob,
                               std::shared_ptr<void> hold);
  // Notes that the worker has begun to store its model, once an attempt.
  void BeginUploadNote(JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Does so and returns when it is durable.
  absl::Status NoteUpload(const v1::ArtifactHeader& header);
  // Runs `function` under the lock when all changes of the job so far are durable and visible.
  void WhenDurable(JobRecord& record, std::function<void()> function)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- Recovery (job_recovery.cc).
  absl::Status RecoverJob(const v1::Job& job, std::vector<AttemptRecord> attempts);
  void RecoverAttempt(JobRecord& record, AttemptRecord attempt, bool had_begun_upload)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ReplayEvents(LiveJob& live, const JobName& name);
  // Whether an attempt had begun to store its model, by the newest events of the job.
  absl::StatusOr<bool> HadBegunUpload(const JobName& name, int32_t attempt, int64_t newest);
  void Adopt(int64_t attempt_id, const std::string& attempt, const std::string& process);
  void OnAdopted(int64_t attempt_id, const absl::Status& status);
  void EndLostToRestart(JobRecord& record, std::string_view message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  v1::Attempt& MessageOf(LiveJob& live) const {
    return *live.job.mutable_attempts(live.attempt->message_index);
  }
  absl::Duration Now() const { return clock_->Monotonic(); }

  const Options options_;
  Catalogue* const catalogue_;
  BlobStore* const blobs_;
  Executor* const executor_;
  Clock* const clock_;
  const std::function<absl::StatusOr<std::vector<v1::AssignedTable>>(const v1::TrainingSpec&)>
      assign_tables_;
  const std::function<absl::StatusOr<AssignedModels>(const v1::TrainingSpec&)> assign_models_;
  JobObserver* const observer_;
  const std::unique_ptr<Runtime> runtime_;
  const std::shared_ptr<Gate> gate_;
  const std::shared_ptr<LogNotifier> log_notifier_;
  const std::shared_ptr<EventLogs> logs_;
  EndedJobs ended_;

  mutable Mutex mutex_;
  std::unique_ptr<SchedulingQueue> queue_ ABSL_GUARDED_BY(mutex_);
  GpuPool gpus_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::unique_ptr<JobRecord>> records_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<int64_t, JobRecord*> attempts_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<int64_t, JobRecord*> sessions_ ABSL_GUARDED_BY(mutex_);
  std::set<std::pair<absl::Duration, JobRecord*>> timers_ ABSL_GUARDED_BY(mutex_);
  absl::Duration queue_timer_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();
  int64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  int64_t creating_ ABSL_GUARDED_BY(mutex_) = 0;  // accepted, not durable yet
  // Writes, launches and adoptions that are under way.
  int64_t under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  bool shutting_down_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;  // nothing is written any more
};

}  // namespace trainyard
