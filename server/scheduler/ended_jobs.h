// The jobs that ended lately, so that reading them does not cost a database query.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "core/base/mutex.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard {

// A cache of serialised jobs, bounded in bytes; the least recently used one goes first.
// Thread-safe.
class EndedJobs {
 public:
  explicit EndedJobs(int64_t max_bytes = 32 << 20) : max_bytes_(max_bytes) {}

  std::optional<v1::Job> Find(const std::string& name);
  void Put(const v1::Job& job);
  // Forgets a job; jobs that were read from the catalogue before are not taken by PutRead any more.
  void Remove(const std::string& name);

  // A job is put into the cache after it was read from the catalogue only if nothing was removed
  // since `version` was taken, before the read: it might have been deleted meanwhile.
  int64_t version() const;
  void PutRead(const v1::Job& job, int64_t version);

 private:
  struct Entry {
    std::string name;
    std::string bytes;
  };
  void PutLocked(const v1::Job& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int64_t max_bytes_;
  mutable Mutex mutex_;
  std::list<Entry> entries_ ABSL_GUARDED_BY(mutex_);  // most recently used first
  absl::flat_hash_map<std::string, std::list<Entry>::iterator> by_name_ ABSL_GUARDED_BY(mutex_);
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t version_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace trainyard
