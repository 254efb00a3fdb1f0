#include "core/base/direct_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "core/base/mutex.h"
#include "core/base/status.h"

namespace trainyard {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;
constexpr size_t kAlignment = 4096;  // of memory, of positions and of sizes
constexpr int kPieces = 3;

struct FreeMemory {
  void operator()(char* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<char, FreeMemory>;

class DirectFile final : public WritableFile {
 public:
  DirectFile(std::filesystem::path path, int descriptor, bool allocated)
      : path_(std::move(path)), descriptor_(descriptor), allocated_(allocated) {}

  ~DirectFile() override {
    StopThread();
    if (descriptor_ >= 0) close(descriptor_);
  }

  absl::Status Append(std::string_view bytes) override {
    if (synced_) return WriteAll(bytes, std::exchange(size_, size_ + Signed(bytes.size())));
    while (!bytes.empty()) {
      if (piece_ == nullptr) TY_RETURN_IF_ERROR(TakePiece());
      const size_t count = std::min(bytes.size(), kPieceBytes - filled_);
      std::memcpy(piece_.get() + filled_, bytes.data(), count);
      filled_ += count;
      size_ += Signed(count);
      bytes.remove_prefix(count);
      if (filled_ == kPieceBytes) SubmitPiece();
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    TY_RETURN_IF_ERROR(EndDirectWriting());
    if (fsync(descriptor_) != 0) return FileError("syncing", path_, errno);
    return absl::OkStatus();
  }

  absl::Status Close() override {
    TY_RETURN_IF_ERROR(EndDirectWriting());
    if (close(std::exchange(descriptor_, -1)) != 0) return FileError("closing", path_, errno);
    return absl::OkStatus();
  }

 private:
  static int64_t Signed(size_t size) { return static_cast<int64_t>(size); }

  // Makes `piece_` an empty one; waits until one is free. Fails when an earlier one failed.
  absl::Status TakePiece() {
    MutexLock lock(&mutex_);
    const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return !status_.ok() || !free_.empty() || made_ < kPieces;
    };
    mutex_.Await(ready);
    TY_RETURN_IF_ERROR(status_);
    filled_ = 0;
    if (!free_.empty()) {
      piece_ = std::move(free_.back());
      free_.pop_back();
      return absl::OkStatus();
    }
    piece_.reset(static_cast<char*>(std::aligned_alloc(kAlignment, kPieceBytes)));
    if (piece_ == nullptr) return absl::ResourceExhaustedError("no memory to write a file");
    ++made_;
    return absl::OkStatus();
  }

  void SubmitPiece() {
    MutexLock lock(&mutex_);
    full_.push_back(std::move(piece_));
    if (!thread_.joinable()) thread_ = std::thread([this] { WritePieces(); });
  }

  void WritePieces() {
    int64_t position = 0;
    const auto has_work = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return stopping_ || !full_.empty();
    };
    MutexLock lock(&mutex_);
    while (true) {
      mutex_.Await(has_work);
      if (full_.empty()) return;
      Memory piece = std::move(full_.front());
      full_.pop_front();
      if (status_.ok()) {
        mutex_.Unlock();
        const absl::Status status = WriteAll({piece.get(), kPieceBytes}, position);
        mutex_.Lock();
        status_ = status;
        position += Signed(kPieceBytes);
      }
      free_.push_back(std::move(piece));
    }
  }

  void StopThread() {
    {
      MutexLock lock(&mutex_);
      stopping_ = true;
    }
    if (thread_.joinable()) thread_.join();
  }

  // After this the file is written through the cache.
  absl::Status EndDirectWriting() {
    if (synced_) return absl::OkStatus();
    StopThread();
    MutexLock lock(&mutex_);
    TY_RETURN_IF_ERROR(status_);
    LeaveDirectMode();
    if (piece_ != nullptr) {
      status_ = WriteAll({piece_.get(), filled_}, size_ - Signed(filled_));
      TY_RETURN_IF_ERROR(status_);
    }
    if (allocated_ && ftruncate(descriptor_, size_) != 0) {
      return status_ = FileError("truncating", path_, errno);
    }
    piece_ = nullptr;
    free_.clear();
    synced_ = true;
    return absl::OkStatus();
  }

  void LeaveDirectMode() const {
    const int flags = fcntl(descriptor_, F_GETFL);
    if (flags >= 0) (void)fcntl(descriptor_, F_SETFL, flags & ~O_DIRECT);
  }

  absl::Status WriteAll(std::string_view bytes, int64_t position) const {
    while (!bytes.empty()) {
      const ssize_t written = pwrite(descriptor_, bytes.data(), bytes.size(), position);
      if (written < 0) {
        const int error = errno;
        if (error == EINTR) continue;
        // A disk that wants a larger alignment, also after a short write.
        if (error == EINVAL && (fcntl(descriptor_, F_GETFL) & O_DIRECT) != 0) {
          LeaveDirectMode();
          continue;
        }
        return FileError("writing", path_, error);
      }
      position += written;
      bytes.remove_prefix(static_cast<size_t>(written));
    }
    return absl::OkStatus();
  }

  const std::filesystem::path path_;
  int descriptor_;
  const bool allocated_;
  int64_t size_ = 0;     // bytes appended
  bool synced_ = false;  // nothing is written past the cache any more
  Memory piece_;         // the one being filled
  size_t filled_ = 0;

  Mutex mutex_;
  std::deque<Memory> full_ ABSL_GUARDED_BY(mutex_);
  std::vector<Memory> free_ ABSL_GUARDED_BY(mutex_);
  int made_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace

std::unique_ptr<WritableFile> MakeDirectFile(std::filesystem::path path, int descriptor,
                                             bool allocated) {
  return std::make_unique<DirectFile>(std::move(path), descriptor, allocated);
}

}  // namespace trainyard
