// Ids of jobs that were created without one.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "absl/base/thread_annotations.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"

namespace trainyard {

// Makes resource ids of 14 characters: `j` and 13 base-32 digits that grow with time (milliseconds
// since 1970, then random bits), so that they sort by creation. No two ids of one object are equal.
// Thread-safe.
class JobIdSource {
 public:
  explicit JobIdSource(Clock& clock, uint64_t seed = std::random_device()());

  std::string Next();

 private:
  Clock& clock_;
  Mutex mutex_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace trainyard
