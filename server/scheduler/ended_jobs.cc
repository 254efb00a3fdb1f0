#include "server/scheduler/ended_jobs.h"

#include <utility>

namespace trainyard {

std::optional<v1::Job> EndedJobs::Find(const std::string& name) {
  MutexLock lock(&mutex_);
  auto found = by_name_.find(name);
  if (found == by_name_.end()) return std::nullopt;
  entries_.splice(entries_.begin(), entries_, found->second);
  v1::Job job;
  if (!job.ParseFromString(found->second->bytes)) return std::nullopt;
  return job;
}

void EndedJobs::Put(const v1::Job& job) {
  MutexLock lock(&mutex_);
  PutLocked(job);
}

void EndedJobs::PutLocked(const v1::Job& job) {
  std::string bytes = job.SerializeAsString();
  // One job must not push out all others.
  if (static_cast<int64_t>(bytes.size()) > max_bytes_ / 4) return;
  if (auto found = by_name_.find(job.name()); found != by_name_.end()) {
    bytes_ -= static_cast<int64_t>(found->second->bytes.size());
    entries_.erase(found->second);
    by_name_.erase(found);
  }
  bytes_ += static_cast<int64_t>(bytes.size());
  entries_.push_front({job.name(), std::move(bytes)});
  by_name_[job.name()] = entries_.begin();
  while (bytes_ > max_bytes_) {
    bytes_ -= static_cast<int64_t>(entries_.back().bytes.size());
    by_name_.erase(entries_.back().name);
    entries_.pop_back();
  }
}

void EndedJobs::Remove(const std::string& name) {
  MutexLock lock(&mutex_);
  ++version_;
  auto found = by_name_.find(name);
  if (found == by_name_.end()) return;
  bytes_ -= static_cast<int64_t>(found->second->bytes.size());
  entries_.erase(found->second);
  by_name_.erase(found);
}

int64_t EndedJobs::version() const {
  MutexLock lock(&mutex_);
  return version_;
}

void EndedJobs::PutRead(const v1::Job& job, int64_t version) {
  MutexLock lock(&mutex_);
  if (version == version_) PutLocked(job);
}

}  // namespace trainyard
