#include "server/storage/blob_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "core/base/secret.h"
#include "core/base/sha256.h"
#include "core/base/status.h"

namespace trainyard {
namespace {

namespace fs = std::filesystem;

constexpr size_t kHashDigits = 64;

bool IsHash(std::string_view text) {
  return text.size() == kHashDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

absl::Status NoSuchBlob(std::string_view sha256) {
  return absl::NotFoundError(
      absl::StrCat("there is no blob ", std::string(sha256.substr(0, kHashDigits))));
}

// Who keeps which blob, and what was touched while a collection runs. Thread-safe; shared with the
// holds, which may outlive the store.
class Holds : public std::enable_shared_from_this<Holds> {
 public:
  std::shared_ptr<void> Take(std::string_view sha256) {
    std::string key(sha256);
    {
      MutexLock lock(&mutex_);
      ++counts_[key];
      if (collecting_) touched_.insert(key);
    }
    auto release = [holds = shared_from_this(), key = std::move(key)](void*) {
      holds->Release(key);
    };
    return std::shared_ptr<void>(this, std::move(release));
  }

  void BeginCollection() {
    MutexLock lock(&mutex_);
    collecting_ = true;
    touched_.clear();
  }
  void EndCollection() {
    MutexLock lock(&mutex_);
    collecting_ = false;
    touched_.clear();
  }
  bool IsHeld(const std::string& sha256) {
    MutexLock lock(&mutex_);
    return counts_.contains(sha256);
  }
  // Runs `remove` unless the blob was held at any time since BeginCollection; nobody gets a hold
  // meanwhile.
  absl::StatusOr<bool> RemoveUntouched(const std::string& sha256,
                                       const std::function<absl::Status()>& remove) {
    MutexLock lock(&mutex_);
    if (counts_.contains(sha256) || touched_.contains(sha256)) return false;
    TY_RETURN_IF_ERROR(remove());
    return true;
  }

 private:
  void Release(const std::string& sha256) {
    MutexLock lock(&mutex_);
    const auto held = counts_.find(sha256);
    if (--held->second == 0) counts_.erase(held);
  }

  Mutex mutex_;
  absl::flat_hash_map<std::string, int64_t> counts_ ABSL_GUARDED_BY(mutex_);
  bool collecting_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<std::string> touched_ ABSL_GUARDED_BY(mutex_);
};

struct Folders {
  fs::path blobs;
  fs::path temporary;

  fs::path ParentOf(std::string_view sha256) const { return blobs / sha256.substr(0, 2); }
  fs::path PathOf(std::string_view sha256) const { return ParentOf(sha256) / sha256; }
};

class FileBlobWriter final : public BlobWriter {
 public:
  FileBlobWriter(FileSystem& file_system, const Folders& folders, std::shared_ptr<Holds> holds,
                 fs::path file, std::unique_ptr<WritableFile> output)
      : file_system_(file_system),
        folders_(folders),
        holds_(std::move(holds)),
        file_(std::move(file)),
        output_(std::move(output)) {}
  ~FileBlobWriter() override {
    output_ = nullptr;
    if (!committed_) file_system_.Remove(file_).IgnoreError();
  }

  absl::Status Append(std::string_view bytes) override {
    TY_RETURN_IF_ERROR(CheckUsable());
    hash_.Update(bytes);
    size_bytes_ += static_cast<int64_t>(bytes.size());
    return Remember(output_->Append(bytes));
  }
  int64_t size_bytes() const override { return size_bytes_; }
  const fs::path& temporary_file() const override { return file_; }

  absl::Status Flush() override {
    TY_RETURN_IF_ERROR(CheckUsable());
    if (flushed_bytes_ == size_bytes_) return absl::OkStatus();
    TY_RETURN_IF_ERROR(Remember(output_->Sync()));
    flushed_bytes_ = size_bytes_;
    return absl::OkStatus();
  }

  std::string Sha256() const override { return hash_.HexDigest(); }

  absl::StatusOr<BlobInfo> Commit() override {
    TY_RETURN_IF_ERROR(Flush());
    TY_RETURN_IF_ERROR(Remember(output_->Close()));
    output_ = nullptr;
    BlobInfo info{hash_.HexDigest(), size_bytes_};
    hold_ = holds_->Take(info.sha256);
    TY_RETURN_IF_ERROR(Remember(Publish(info)));
    return info;
  }

 private:
  absl::Status CheckUsable() const {
    if (!failed_.ok()) return failed_;
    if (output_ == nullptr) return absl::FailedPreconditionError("the blob is committed already");
    return absl::OkStatus();
  }
  // What failed once is not to be relied on any more.
  absl::Status Remember(absl::Status status) {
    if (!status.ok()) failed_ = status;
    return status;
  }

  absl::Status Publish(const BlobInfo& info) {
    const fs::path parent = folders_.ParentOf(info.sha256);
    TY_RETURN_IF_ERROR(file_system_.CreateFolders(parent));
    TY_RETURN_IF_ERROR(file_system_.SyncFolder(folders_.blobs));
    // A blob of that name is replaced: if it was damaged on the disk, it is sound again.
    TY_RETURN_IF_ERROR(file_system_.Rename(file_, folders_.PathOf(info.sha256)));
    committed_ = true;
    return file_system_.SyncFolder(parent);
  }

  FileSystem& file_system_;
  const Folders& folders_;
  const std::shared_ptr<Holds> holds_;
  const fs::path file_;
  std::unique_ptr<WritableFile> output_;
  class Sha256 hash_;
  int64_t size_bytes_ = 0;
  int64_t flushed_bytes_ = -1;
  bool committed_ = false;  // the temporary file is no more
  absl::Status failed_;
  std::shared_ptr<void> hold_;
};

class FileBlobStore final : public BlobStore {
 public:
  FileBlobStore(const fs::path& root, FileSystem& file_system)
      : folders_{root / "blobs", root / "tmp"}, file_system_(file_system) {}

  absl::Status Prepare() {
    TY_RETURN_IF_ERROR(file_system_.CreateFolders(folders_.blobs));
    TY_RETURN_IF_ERROR(file_system_.CreateFolders(folders_.temporary));
    TY_RETURN_IF_ERROR(file_system_.SyncFolder(folders_.blobs.parent_path()));
    TY_ASSIGN_OR_RETURN(const std::vector<fs::path> left, file_system_.List(folders_.temporary));
    for (const fs::path& file : left) TY_RETURN_IF_ERROR(file_system_.Remove(file));
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<BlobWriter>> Create(int64_t expected_bytes) override {
    fs::path file = folders_.temporary / RandomHexToken(16);
    TY_ASSIGN_OR_RETURN(std::unique_ptr<WritableFile> output,
                        file_system_.Create(file, std::max<int64_t>(expected_bytes, 0)));
    return std::make_unique<FileBlobWriter>(file_system_, folders_, holds_, std::move(file),
                                            std::move(output));
  }

  absl::StatusOr<fs::path> PathOf(std::string_view sha256) const override {
    if (!IsHash(sha256)) return NoSuchBlob(sha256);
    fs::path path = folders_.PathOf(sha256);
    const absl::StatusOr<int64_t> size = file_system_.SizeOf(path);
    if (absl::IsNotFound(size.status())) return NoSuchBlob(sha256);
    TY_RETURN_IF_ERROR(size.status());
    return path;
  }

  std::shared_ptr<void> Hold(std::string_view sha256) override { return holds_->Take(sha256); }

  absl::StatusOr<int64_t> Collect(
      const std::function<bool(std::string_view sha256)>& referenced) override {
    MutexLock lock(&collection_mutex_);
    holds_->BeginCollection();
    absl::StatusOr<int64_t> removed = CollectUntouched(referenced);
    holds_->EndCollection();
    return removed;
  }

  absl::StatusOr<std::vector<BlobInfo>> List() const override {
    std::vector<BlobInfo> blobs;
    TY_ASSIGN_OR_RETURN(const std::vector<fs::path> folders, file_system_.List(folders_.blobs));
    for (const fs::path& folder : folders) {
      TY_ASSIGN_OR_RETURN(const std::vector<fs::path> files, file_system_.List(folder));
      for (const fs::path& file : files) {
        std::string name = file.filename().string();
        if (!IsHash(name)) continue;
        const absl::StatusOr<int64_t> size = file_system_.SizeOf(file);
        if (absl::IsNotFound(size.status())) continue;  // collected meanwhile
        TY_RETURN_IF_ERROR(size.status());
        blobs.push_back({std::move(name), *size});
      }
    }
    std::sort(blobs.begin(), blobs.end(),
              [](const BlobInfo& a, const BlobInfo& b) { return a.sha256 < b.sha256; });
    return blobs;
  }

  absl::Status Verify(std::string_view sha256) const override {
    TY_ASSIGN_OR_RETURN(const fs::path path, PathOf(sha256));
    TY_ASSIGN_OR_RETURN(const std::string found, HashFile(path));
    if (found == sha256) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat("blob ", std::string(sha256),
                                            " is damaged: its bytes have the SHA-256 ", found));
  }

 private:
  absl::StatusOr<int64_t> CollectUntouched(
      const std::function<bool(std::string_view sha256)>& referenced) {
    // Candidates are chosen before `referenced` is asked first: what is referenced by then was
    // either held until the reference was written, or is touched and spared.
    TY_ASSIGN_OR_RETURN(const std::vector<BlobInfo> blobs, List());
    std::vector<std::string> candidates;
    for (const BlobInfo& blob : blobs) {
      if (!holds_->IsHeld(blob.sha256)) candidates.push_back(blob.sha256);
    }
    int64_t removed = 0;
    for (const std::string& sha256 : candidates) {
      if (referenced(sha256)) continue;
      TY_ASSIGN_OR_RETURN(const bool gone, holds_->RemoveUntouched(sha256, [&] {
        return file_system_.Remove(folders_.PathOf(sha256));
      }));
      if (gone) ++removed;
    }
    return removed;
  }

  // Reads in pieces and leaves nothing behind in the page cache.
  static absl::StatusOr<std::string> HashFile(const fs::path& path) {
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return ReadError(path, errno);
    posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
    class Sha256 hash;
    std::string piece(size_t{1} << 20, '\0');
    ssize_t got = 0;
    while ((got = read(descriptor, piece.data(), piece.size())) > 0 ||
           (got < 0 && errno == EINTR)) {
      if (got > 0) hash.Update(std::string_view(piece).substr(0, static_cast<size_t>(got)));
    }
    const int error = errno;
    posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    close(descriptor);
    if (got < 0) return ReadError(path, error);
    return hash.HexDigest();
  }

  static absl::Status ReadError(const fs::path& path, int error) {
    const std::string text =
        absl::StrCat("reading ", path.string(), ": ", std::generic_category().message(error));
    if (error == ENOENT) return absl::NotFoundError(text);
    // An unreadable sector is damage like any other.
    return error == EIO ? absl::DataLossError(text) : absl::UnavailableError(text);
  }

  const Folders folders_;
  FileSystem& file_system_;
  const std::shared_ptr<Holds> holds_ = std::make_shared<Holds>();
  Mutex collection_mutex_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BlobStore>> BlobStore::Open(const fs::path& root,
                                                           FileSystem& file_system) {
  auto store = std::make_unique<FileBlobStore>(fs::absolute(root), file_system);
  const absl::Status prepared = store->Prepare();
  if (!prepared.ok()) return AddContext(prepared, "opening the blob store");
  return store;
}

}  // namespace trainyard
