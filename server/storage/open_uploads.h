// Uploads that can be continued after their call was cut off.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "server/storage/dataset_store.h"
#include "trainyard/v1/dataset_service.pb.h"

namespace trainyard {

// Keeps uploads with an id from their first call until they end, at most `kept_uploads` of them
// and at most `keep_time` without a call. They live in memory and in temporary files: a restart of
// the server ends them. Thread-safe; must outlive what Open gives.
class OpenUploads {
 public:
  OpenUploads(Clock& clock, absl::Duration keep_time, int kept_uploads)
      : clock_(clock), keep_time_(keep_time), kept_uploads_(kept_uploads) {}

  using Make = std::function<absl::StatusOr<std::unique_ptr<DatasetUpload>>()>;
  // The upload of `header`, made by `make` unless it is there. Another call that has it loses it:
  // its connection is gone, although the server may not know yet. ALREADY_EXISTS when the id was
  // used with another header; UNAVAILABLE while its Finish is running. Destroying the result keeps
  // the upload unless it ended: by Finish or by an error.
  absl::StatusOr<std::unique_ptr<DatasetUpload>> Open(const v1::UploadDatasetHeader& header,
                                                      const Make& make);
  // NOT_FOUND when there is none.
  absl::StatusOr<v1::DatasetUpload> Get(std::string_view parent, std::string_view upload_id);
  // Drops what was kept for too long.
  void DropStale();

 private:
  friend class OpenUpload;
  using Key = std::pair<std::string, std::string>;  // parent, upload id
  struct Entry;

  void Release(const Key& key, const std::shared_ptr<Entry>& entry, int64_t caller);
  std::shared_ptr<Entry> Find(const Key& key);
  // Takes the uploads out that have to go; the caller destroys them without the lock.
  std::map<Key, std::shared_ptr<Entry>> TakeStale() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock& clock_;
  const absl::Duration keep_time_;
  const int kept_uploads_;

  Mutex mutex_;
  int64_t callers_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<Key, std::shared_ptr<Entry>> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trainyard
