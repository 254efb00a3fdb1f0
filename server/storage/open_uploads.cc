#include "server/storage/open_uploads.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "google/protobuf/util/time_util.h"
#include "server/storage/received_chunks.h"

namespace trainyard {
namespace {

constexpr int64_t kNobody = 0;

// Retries of one client serialise the same header to the same bytes: it has no maps but the column
// types, which are sorted here.
std::string HashOfHeader(v1::UploadDatasetHeader header) {
  std::map<std::string, int> types(header.table().column_types().begin(),
                                   header.table().column_types().end());
  header.mutable_table()->clear_column_types();
  std::string text = header.SerializeAsString();
  for (const auto& [name, type] : types) absl::StrAppend(&text, name.size(), ":", name, type);
  return Sha256Hex(text);
}

absl::Status NoUpload(std::string_view upload_id) {
  return absl::NotFoundError(
      absl::StrCat("there is no upload '", std::string(upload_id), "' to go on with"));
}

}  // namespace

struct OpenUploads::Entry {
  std::string header_sha256;
  int64_t declared_bytes = 0;

  // Of OpenUploads::mutex_.
  std::optional<absl::Duration> idle_since;  // monotonic; while nobody has it

  std::atomic<int64_t> committed_bytes = 0;
  std::atomic<bool> finishing = false;

  Mutex mutex;  // held while the upload works; taken before OpenUploads::mutex_, never after
  int64_t caller ABSL_GUARDED_BY(mutex) = kNobody;
  bool ended ABSL_GUARDED_BY(mutex) = false;
  std::unique_ptr<DatasetUpload> upload ABSL_GUARDED_BY(mutex);
};

// What one call has of an upload.
class OpenUpload final : public DatasetUpload {
 public:
  OpenUpload(OpenUploads& uploads, OpenUploads::Key key, std::shared_ptr<OpenUploads::Entry> entry,
             int64_t caller)
      : uploads_(uploads), key_(std::move(key)), entry_(std::move(entry)), caller_(caller) {}
  ~OpenUpload() override { uploads_.Release(key_, entry_, caller_); }

  absl::Status Append(const v1::FileChunk& chunk) override {
    MutexLock lock(&entry_->mutex);
    TY_RETURN_IF_ERROR(CheckOurs());
    absl::Status status = entry_->upload->Append(chunk);
    entry_->ended = !status.ok();
    entry_->committed_bytes = entry_->upload->committed_bytes();
    return status;
  }

  absl::StatusOr<v1::Dataset> Finish() override {
    MutexLock lock(&entry_->mutex);
    TY_RETURN_IF_ERROR(CheckOurs());
    // Too few may be a connection that was cut: the upload stays open.
    TY_RETURN_IF_ERROR(CheckReceivedSize(entry_->committed_bytes, entry_->declared_bytes));
    entry_->finishing = true;
    entry_->ended = true;
    return entry_->upload->Finish();
  }

  int64_t committed_bytes() const override { return entry_->committed_bytes; }

 private:
  absl::Status CheckOurs() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(entry_->mutex) {
    if (entry_->caller == caller_) return absl::OkStatus();
    return absl::AbortedError(
        absl::StrCat("another call goes on with the upload '", key_.second, "'"));
  }

  OpenUploads& uploads_;
  const OpenUploads::Key key_;
  const std::shared_ptr<OpenUploads::Entry> entry_;
  const int64_t caller_;
};

absl::StatusOr<std::unique_ptr<DatasetUpload>> OpenUploads::Open(
    const v1::UploadDatasetHeader& header, const Make& make) {
  DropStale();
  const Key key(header.parent(), header.upload_id());
  const std::string hash = HashOfHeader(header);
  std::shared_ptr<Entry> entry = Find(key);
  if (entry == nullptr) {
    auto made = std::make_shared<Entry>();
    made->header_sha256 = hash;
    made->declared_bytes = header.size_bytes();
    {
      MutexLock lock(&made->mutex);
      TY_ASSIGN_OR_RETURN(made->upload, make());
    }
    MutexLock lock(&mutex_);
    entry = entries_.try_emplace(key, std::move(made)).first->second;
  }
  if (entry->header_sha256 != hash) {
    return absl::AlreadyExistsError(absl::StrCat("header.upload_id is '", header.upload_id(),
                                                 "', which was used with another header"));
  }
  const auto unavailable = [&] {
    return absl::UnavailableError(
        absl::StrCat("the upload '", header.upload_id(), "' is being stored"));
  };
  if (entry->finishing) return unavailable();
  MutexLock entry_lock(&entry->mutex);
  if (entry->ended) return unavailable();
  MutexLock lock(&mutex_);
  entry->caller = ++callers_;
  entry->idle_since.reset();
  return std::make_unique<OpenUpload>(*this, key, entry, entry->caller);
}

void OpenUploads::Release(const Key& key, const std::shared_ptr<Entry>& entry, int64_t caller) {
  {
    MutexLock entry_lock(&entry->mutex);
    if (entry->caller != caller) return;
    entry->caller = kNobody;
    if (entry->ended) entry->upload = nullptr;
    MutexLock lock(&mutex_);
    if (entry->ended) {
      const auto found = entries_.find(key);
      if (found != entries_.end() && found->second == entry) entries_.erase(found);
    } else {
      entry->idle_since = clock_.Monotonic();
    }
  }
  DropStale();
}

std::shared_ptr<OpenUploads::Entry> OpenUploads::Find(const Key& key) {
  MutexLock lock(&mutex_);
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : found->second;
}

absl::StatusOr<v1::DatasetUpload> OpenUploads::Get(std::string_view parent,
                                                   std::string_view upload_id) {
  DropStale();
  const Key key(parent, upload_id);
  MutexLock lock(&mutex_);
  const auto found = entries_.find(key);
  if (found == entries_.end()) return NoUpload(upload_id);
  const Entry& entry = *found->second;
  v1::DatasetUpload upload;
  upload.set_upload_id(key.second);
  upload.set_committed_size_bytes(entry.committed_bytes);
  upload.set_size_bytes(entry.declared_bytes);
  if (entry.idle_since.has_value()) {
    const absl::Duration left = *entry.idle_since + keep_time_ - clock_.Monotonic();
    *upload.mutable_expire_time() = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
        absl::ToUnixNanos(clock_.Now() + left));
  }
  return upload;
}

void OpenUploads::DropStale() {
  std::map<Key, std::shared_ptr<Entry>> stale;
  {
    MutexLock lock(&mutex_);
    stale = TakeStale();
  }
  for (const auto& [key, entry] : stale) {
    MutexLock lock(&entry->mutex);
    // A call may have taken it a moment ago: then it goes on, but cannot be continued any more.
    if (entry->caller != kNobody) continue;
    entry->ended = true;
    entry->upload = nullptr;
  }
}

std::map<OpenUploads::Key, std::shared_ptr<OpenUploads::Entry>> OpenUploads::TakeStale() {
  std::map<Key, std::shared_ptr<Entry>> stale;
  const absl::Duration now = clock_.Monotonic();
  std::vector<absl::Duration> idle;
  for (const auto& [key, entry] : entries_) {
    if (entry->idle_since.has_value()) idle.push_back(*entry->idle_since);
  }
  std::sort(idle.begin(), idle.end());
  const size_t surplus = idle.size() - std::min(idle.size(), static_cast<size_t>(kept_uploads_));
  const absl::Duration oldest_kept = surplus < idle.size() ? idle[surplus] : now;
  for (auto at = entries_.begin(); at != entries_.end();) {
    const std::optional<absl::Duration>& since = at->second->idle_since;
    if (since.has_value() && (*since < oldest_kept || now - *since >= keep_time_)) {
      stale.insert(*at);
      at = entries_.erase(at);
    } else {
      ++at;
    }
  }
  return stale;
}

}  // namespace trainyard
