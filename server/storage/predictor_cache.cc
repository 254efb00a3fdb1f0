#include "server/storage/predictor_cache.h"

#include <utility>

namespace trainyard {

absl::StatusOr<std::shared_ptr<const Predictor>> PredictorCache::Get(const std::string& key,
                                                                     const Load& load) {
  {
    MutexLock lock(&mutex_);
    const auto loaded_or_absent = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      const auto found = by_key_.find(key);
      return found == by_key_.end() || found->second->loaded.predictor != nullptr;
    };
    mutex_.Await(loaded_or_absent);
    const auto found = by_key_.find(key);
    if (found != by_key_.end()) {
      entries_.splice(entries_.begin(), entries_, found->second);
      return found->second->loaded.predictor;
    }
    entries_.push_front({key, {}});
    by_key_[key] = entries_.begin();
  }
  absl::StatusOr<Loaded> loaded = load();
  MutexLock lock(&mutex_);
  const auto entry = by_key_.find(key)->second;
  if (!loaded.ok()) {
    Erase(entry);
    return loaded.status();
  }
  entry->loaded = *loaded;
  bytes_ += loaded->size_bytes;
  DropOldest();
  return std::move(loaded->predictor);
}

void PredictorCache::Remove(const std::string& key) {
  MutexLock lock(&mutex_);
  const auto found = by_key_.find(key);
  if (found != by_key_.end() && found->second->loaded.predictor != nullptr) Erase(found->second);
}

int64_t PredictorCache::bytes() const {
  MutexLock lock(&mutex_);
  return bytes_;
}

void PredictorCache::Erase(Entries::iterator entry) {
  bytes_ -= entry->loaded.size_bytes;
  by_key_.erase(entry->key);
  entries_.erase(entry);
}

void PredictorCache::DropOldest() {
  for (auto entry = entries_.end(); entry != entries_.begin();) {
    if (static_cast<int>(entries_.size()) <= max_count_ && bytes_ <= max_bytes_) return;
    const auto oldest = std::prev(entry);
    if (oldest->loaded.predictor == nullptr) {
      entry = oldest;  // being loaded
    } else {
      Erase(oldest);
    }
  }
}

}  // namespace trainyard
