// A catalogue and a blob store in a temporary folder, for tests.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/base/file_system.h"
#include "core/base/secret.h"
#include "server/storage/blob_store.h"
#include "server/storage/catalogue.h"

namespace trainyard {

// An empty folder that goes with the object.
class TempFolder {
 public:
  TempFolder()
      : path_(std::filesystem::temp_directory_path() / ("trainyard-test-" + RandomHexToken(8))) {
    std::filesystem::create_directories(path_);
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  const std::filesystem::path path_;
};

// The store of a server; ends the test program when it cannot be opened.
class TempStore {
 public:
  explicit TempStore(Catalogue::Options options = {}, FileSystem& file_system = FileSystem::Real())
      : options_(std::move(options)), file_system_(file_system) {
    options_.file = folder_.path() / "catalogue.db";
    Reopen();
  }

  // Closes both and opens them again, as a restart does.
  void Reopen() {
    Close();
    catalogue_ = Catalogue::Open(options_).value();
    blobs_ = BlobStore::Open(folder_.path(), file_system_).value();
  }
  void Close() {
    catalogue_ = nullptr;
    blobs_ = nullptr;
  }

  const std::filesystem::path& folder() const { return folder_.path(); }
  const std::filesystem::path& catalogue_file() const { return options_.file; }
  Catalogue& catalogue() { return *catalogue_; }
  BlobStore& blobs() { return *blobs_; }

  // Stores a blob and answers its hash.
  std::string PutBlob(std::string_view bytes) {
    std::unique_ptr<BlobWriter> writer = blobs_->Create(0).value();
    const absl::Status appended = writer->Append(bytes);
    return appended.ok() ? writer->Commit().value().sha256 : "";
  }

 private:
  TempFolder folder_;
  Catalogue::Options options_;
  FileSystem& file_system_;
  std::unique_ptr<Catalogue> catalogue_;
  std::unique_ptr<BlobStore> blobs_;
};

}  // namespace trainyard
