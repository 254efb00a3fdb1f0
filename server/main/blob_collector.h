// Removes blobs that nothing refers to any more, and uploads that nobody went on with.
#pragma once

#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"
#include "server/storage/blob_store.h"
#include "server/storage/catalogue.h"
#include "server/storage/dataset_store.h"

namespace trainyard {

// A thread that collects once at the start, a while after each RunSoon, and once a day, and drops
// stale uploads every ten minutes. The destructor waits for a collection that is running.
class BlobCollector {
 public:
  BlobCollector(Catalogue& catalogue, BlobStore& blobs, DatasetStore& datasets,
                absl::Duration delay = absl::Seconds(10), absl::Duration period = absl::Hours(24));
  ~BlobCollector();
  BlobCollector(const BlobCollector&) = delete;
  BlobCollector& operator=(const BlobCollector&) = delete;

  // Something was deleted. Many calls within the delay make one collection.
  void RunSoon();

 private:
  void Run();
  void Collect();
  // Returns when a collection is due.
  void WaitForTurn();

  Catalogue& catalogue_;
  BlobStore& blobs_;
  DatasetStore& datasets_;
  const absl::Duration delay_;
  const absl::Duration period_;
  Mutex mutex_;
  bool asked_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace trainyard
