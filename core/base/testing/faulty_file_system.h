// A file system of which any operation can be made to fail.
#pragma once

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/file_system.h"

namespace trainyard {

// Passes every operation on to the real file system, counts them, and answers the one chosen by
// FailAt with an error, without doing it. Thread-safe.
class FaultyFileSystem final : public FileSystem {
 public:
  // The operation after `operations` further ones fails with `status`; with `and_all_later`, so do
  // all that follow. Counting starts anew.
  void FailAt(int64_t operations, absl::Status status, bool and_all_later = false) {
    status_ = std::move(status);
    all_later_ = and_all_later;
    fail_at_ = operations;
    count_ = 0;
  }
  void FailNever() { fail_at_ = -1; }
  // Operations since the start or the last FailAt.
  int64_t operation_count() const { return count_; }

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::filesystem::path& file,
                                                       int64_t reserve_bytes) override {
    if (absl::Status status = Next(); !status.ok()) return status;
    auto real = FileSystem::Real().Create(file, reserve_bytes);
    if (!real.ok()) return real.status();
    return std::make_unique<File>(*this, *std::move(real));
  }
  absl::Status Rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    if (absl::Status status = Next(); !status.ok()) return status;
    return FileSystem::Real().Rename(from, to);
  }
  // Removal always works: what is being tested is cleaning up.
  absl::Status Remove(const std::filesystem::path& file) override {
    return FileSystem::Real().Remove(file);
  }
  absl::Status SyncFolder(const std::filesystem::path& folder) override {
    if (absl::Status status = Next(); !status.ok()) return status;
    return FileSystem::Real().SyncFolder(folder);
  }
  absl::Status CreateFolders(const std::filesystem::path& folder) override {
    if (absl::Status status = Next(); !status.ok()) return status;
    return FileSystem::Real().CreateFolders(folder);
  }
  absl::StatusOr<std::vector<std::filesystem::path>> List(
      const std::filesystem::path& folder) override {
    return FileSystem::Real().List(folder);
  }
  absl::StatusOr<int64_t> SizeOf(const std::filesystem::path& file) override {
    return FileSystem::Real().SizeOf(file);
  }

 private:
  class File final : public WritableFile {
   public:
    File(FaultyFileSystem& owner, std::unique_ptr<WritableFile> real)
        : owner_(owner), real_(std::move(real)) {}
    // A write that fails for lack of space leaves half of its bytes behind, as a full disk does.
    absl::Status Append(std::string_view bytes) override {
      if (absl::Status status = owner_.Next(); !status.ok()) {
        (void)real_->Append(bytes.substr(0, bytes.size() / 2));
        return status;
      }
      return real_->Append(bytes);
    }
    absl::Status Sync() override {
      if (absl::Status status = owner_.Next(); !status.ok()) return status;
      return real_->Sync();
    }
    absl::Status Close() override {
      if (absl::Status status = owner_.Next(); !status.ok()) return status;
      return real_->Close();
    }

   private:
    FaultyFileSystem& owner_;
    std::unique_ptr<WritableFile> real_;
  };

  absl::Status Next() {
    const int64_t index = count_++;
    const int64_t fail_at = fail_at_;
    if (fail_at < 0) return absl::OkStatus();
    const bool fails = all_later_ ? index >= fail_at : index == fail_at;
    return fails ? status_ : absl::OkStatus();
  }

  std::atomic<int64_t> count_ = 0;
  std::atomic<int64_t> fail_at_ = -1;
  std::atomic<bool> all_later_ = false;
  absl::Status status_;
};

}  // namespace trainyard
