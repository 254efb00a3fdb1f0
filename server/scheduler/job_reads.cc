// Reading jobs, their events and the queue.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "core/base/status.h"
#include "proto/schema/violations.h"
#include "server/scheduler/job_changes.h"
#include "server/scheduler/job_manager_impl.h"
#include "server/scheduler/job_state.h"

namespace trainyard {
namespace {

constexpr int kMaxNextJobs = 20;

v1::ResourceRequest ToProto(const Slots& slots) {
  v1::ResourceRequest resources;
  resources.set_cpu_threads(slots.cpu_threads);
  resources.set_gpus(slots.gpus);
  resources.set_memory_bytes(slots.memory_bytes);
  return resources;
}

}  // namespace

JobRecord* JobManagerImpl::Find(const JobName& name) {
  auto found = records_.find(name.ToString());
  return found == records_.end() ? nullptr : found->second.get();
}

v1::Job JobManagerImpl::VisibleJob(const JobRecord& record) const {
  if (record.live != nullptr) return record.live->visible;
  v1::Job job;
  job.ParseFromString(record.packed);
  return job;
}

absl::StatusOr<v1::Job> JobManagerImpl::Read(const JobName& name) {
  const int64_t version = ended_.version();
  {
    MutexLock lock(&mutex_);
    if (const JobRecord* record = Find(name)) {
      v1::Job job = VisibleJob(*record);
      if (job.state() == v1::Job::STATE_QUEUED) {
        const int64_t position = queue_->Position(record->key, clock_->Now());
        job.set_queue_position(static_cast<int32_t>(std::max<int64_t>(0, position)));
      }
      return job;
    }
  }
  if (std::optional<v1::Job> job = ended_.Find(name.ToString())) return *std::move(job);
  TY_ASSIGN_OR_RETURN(v1::Job job, catalogue_->GetJob(name));
  if (IsEndState(job.state())) ended_.PutRead(job, version);
  return job;
}

absl::StatusOr<v1::Job> JobManagerImpl::Get(const JobName& name) { return Read(name); }

absl::StatusOr<JobPage> JobManagerImpl::List(const JobQuery& query) {
  TY_ASSIGN_OR_RETURN(JobPage page, catalogue_->ListJobs(query));
  MutexLock lock(&mutex_);
  for (v1::Job& job : page.jobs) {
    auto found = records_.find(job.name());
    if (found == records_.end() || found->second->live == nullptr) continue;
    // The row of a running job is written now and then only.
    const v1::Job& visible = found->second->live->visible;
    if (visible.etag() != job.etag()) continue;
    *job.mutable_progress() = visible.progress();
    *job.mutable_latest_metrics() = visible.latest_metrics();
    *job.mutable_update_time() = visible.update_time();
    job.set_newest_sequence(visible.newest_sequence());
  }
  return page;
}

absl::StatusOr<std::unique_ptr<EventReader>> JobManagerImpl::Watch(const JobName& name,
                                                                   int64_t from_sequence) {
  std::shared_ptr<JobEventLog> log;
  int64_t newest = 0;
  {
    MutexLock lock(&mutex_);
    if (JobRecord* record = Find(name)) {
      newest = record->newest_sequence;
      log = logs_->Open(name, newest, false);
      if (record->live != nullptr) record->live->log = log;
    }
  }
  if (log == nullptr) {
    TY_ASSIGN_OR_RETURN(const v1::Job job, Read(name));
    newest = job.newest_sequence();
    log = logs_->Open(name, newest, IsEndState(job.state()));
  }
  if (from_sequence > newest + 1) {
    return WithReason(absl::OutOfRangeError(
                          absl::StrCat("from_sequence ", from_sequence, " of job ", name.ToString(),
                                       " is beyond the newest event + 1, ", newest + 1)),
                      "SEQUENCE_OUT_OF_RANGE", {{"newest_sequence", absl::StrCat(newest)}});
  }
  return log->NewReader(from_sequence);
}

v1::Queue JobManagerImpl::QueueState(std::string_view project) {
  v1::Queue state;
  MutexLock lock(&mutex_);
  const absl::Time now = clock_->Now();
  const SchedulingQueue::Counts counts = queue_->CountsOf(project);
  state.set_queued_count(counts.queued);
  state.set_running_count(counts.running);
  *state.mutable_capacity() = ToProto(queue_->capacity());
  *state.mutable_in_use() = ToProto(queue_->in_use());
  if (const auto oldest = queue_->OldestCreateTime(project)) {
    state.set_oldest_wait_seconds(std::max(0.0, absl::ToDoubleSeconds(now - *oldest)));
  }
  for (std::string& name : queue_->Front(kMaxNextJobs, now, project)) {
    state.add_next_jobs(std::move(name));
  }
  return state;
}

}  // namespace trainyard
