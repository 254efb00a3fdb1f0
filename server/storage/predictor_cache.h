// Predictors kept loaded, the least recently used ones dropped first.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "core/algorithms/algorithm.h"
#include "core/base/mutex.h"

namespace trainyard {

// Thread-safe.
class PredictorCache {
 public:
  PredictorCache(int max_count, int64_t max_bytes) : max_count_(max_count), max_bytes_(max_bytes) {}

  struct Loaded {
    std::shared_ptr<const Predictor> predictor;
    int64_t size_bytes = 0;
  };
  using Load = std::function<absl::StatusOr<Loaded>()>;

  // The predictor of that key, from the cache or from `load`. Calls for a key that is being loaded
  // wait for it; when loading fails, the next of them tries.
  absl::StatusOr<std::shared_ptr<const Predictor>> Get(const std::string& key, const Load& load);
  // Forgets a predictor; whoever has it may go on using it.
  void Remove(const std::string& key);

  int64_t bytes() const;

 private:
  struct Entry {
    std::string key;
    Loaded loaded;  // without predictor: being loaded
  };
  using Entries = std::list<Entry>;

  void Erase(Entries::iterator entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int max_count_;
  const int64_t max_bytes_;
  mutable Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);  // most recently used first
  absl::flat_hash_map<std::string, Entries::iterator> by_key_ ABSL_GUARDED_BY(mutex_);
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace trainyard
