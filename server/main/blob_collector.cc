#include "server/main/blob_collector.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/storage/check.h"
#include "server/telemetry/log.h"

namespace trainyard {
namespace {

constexpr absl::Duration kUploadPeriod = absl::Minutes(10);

}  // namespace

BlobCollector::BlobCollector(Catalogue& catalogue, BlobStore& blobs, DatasetStore& datasets,
                             absl::Duration delay, absl::Duration period)
    : catalogue_(catalogue),
      blobs_(blobs),
      datasets_(datasets),
      delay_(delay),
      period_(period),
      thread_([this] { Run(); }) {}

BlobCollector::~BlobCollector() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void BlobCollector::RunSoon() {
  MutexLock lock(&mutex_);
  asked_ = true;
}

void BlobCollector::Run() {
  const auto stopping = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_; };
  while (true) {
    Collect();
    WaitForTurn();
    MutexLock lock(&mutex_);
    // Deletions come in bursts.
    mutex_.AwaitWithTimeout(stopping, delay_);
    if (stopping_) return;
    asked_ = false;
  }
}

void BlobCollector::WaitForTurn() {
  const auto asked = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return asked_ || stopping_; };
  for (absl::Duration left = period_; left > absl::ZeroDuration(); left -= kUploadPeriod) {
    datasets_.DropStaleUploads();
    MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(asked, std::min(left, kUploadPeriod))) return;
  }
}

void BlobCollector::Collect() {
  const auto removed = CollectGarbage(catalogue_, blobs_);
  if (!removed.ok()) {
    LogWarning("cannot collect unused blobs", {{"error", std::string(removed.status().message())}});
  } else if (*removed > 0) {
    LogInfo("unused blobs removed", {{"count", absl::StrCat(*removed)}});
  }
}

}  // namespace trainyard
