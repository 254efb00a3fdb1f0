#include <utility>

#include "core/base/mutex.h"
#include "server/scheduler/job_event_log.h"

namespace trainyard {

std::shared_ptr<JobEventLog> EventLogs::Open(const JobName& job, int64_t newest_sequence,
                                             bool ended) {
  const std::string name = job.ToString();
  std::shared_ptr<JobEventLog> log;
  absl::Status closed;
  {
    MutexLock lock(&mutex_);
    Slot& slot = logs_[name];
    log = slot.log.lock();
    if (log != nullptr) return log;
    log = std::make_shared<JobEventLog>(job, newest_sequence, ended, shared_from_this());
    slot = {log, log.get()};
    closed = closed_;
  }
  if (!closed.ok()) log->Close(closed);
  return log;
}

std::shared_ptr<JobEventLog> EventLogs::Find(const JobName& job) {
  const std::string name = job.ToString();
  MutexLock lock(&mutex_);
  auto found = logs_.find(name);
  return found == logs_.end() ? nullptr : found->second.log.lock();
}

void EventLogs::Close(const JobName& job, const absl::Status& status) {
  std::shared_ptr<JobEventLog> log;
  {
    MutexLock lock(&mutex_);
    auto found = logs_.find(job.ToString());
    if (found == logs_.end()) return;
    log = found->second.log.lock();
    logs_.erase(found);
  }
  if (log != nullptr) log->Close(status);
}

void EventLogs::CloseAll(const absl::Status& status) {
  std::vector<std::shared_ptr<JobEventLog>> open;
  {
    MutexLock lock(&mutex_);
    closed_ = status;
    for (const auto& [name, slot] : logs_) {
      if (auto log = slot.log.lock()) open.push_back(std::move(log));
    }
  }
  for (const auto& log : open) log->Close(status);
}

int64_t EventLogs::memory_bytes() const {
  MutexLock lock(&mutex_);
  return total_bytes_;
}

void EventLogs::Account(JobEventLog* log) {
  MutexLock lock(&mutex_);
  const int64_t bytes = log->memory_bytes();
  auto [entry, added] = usage_.try_emplace(log);
  if (!added) idle_order_.erase(entry->second.position);
  entry->second.position = idle_order_.insert(idle_order_.end(), log);
  total_bytes_ += bytes - entry->second.bytes;
  entry->second.bytes = bytes;
  while (total_bytes_ > options_.total_bytes && !idle_order_.empty()) {
    JobEventLog* victim = idle_order_.front();
    victim->DropMemory();
    auto usage = usage_.find(victim);
    total_bytes_ -= usage->second.bytes;
    idle_order_.pop_front();
    usage_.erase(usage);
  }
}

void EventLogs::Forget(const std::string& name, JobEventLog* log) {
  MutexLock lock(&mutex_);
  auto found = logs_.find(name);
  if (found != logs_.end() && found->second.key == log) logs_.erase(found);
  auto usage = usage_.find(log);
  if (usage == usage_.end()) return;
  total_bytes_ -= usage->second.bytes;
  idle_order_.erase(usage->second.position);
  usage_.erase(usage);
}

}  // namespace trainyard
