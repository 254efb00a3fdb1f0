#include "server/storage/table_cache.h"

#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/secret.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace trainyard {
namespace {

namespace fs = std::filesystem;

constexpr char kUnfinished[] = "unfinished";

std::string DeterministicBytes(const v1::TableReadOptions& options) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream output(&stream);
  output.SetSerializationDeterministic(true);
  options.SerializeToCodedStream(&output);
  output.Trim();
  return bytes;
}

absl::Status FolderError(const fs::path& folder, const std::error_code& error) {
  const std::string text = absl::StrCat("creating folder ", folder.string(), ": ", error.message());
  return error == std::errc::no_space_on_device ? absl::ResourceExhaustedError(text)
                                                : absl::UnavailableError(text);
}

}  // namespace

std::string HashOf(const v1::TableReadOptions& options) {
  return Sha256Hex(DeterministicBytes(options));
}

PendingTable::~PendingTable() {
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

TableCache::TableCache(const fs::path& folder, IngestTable ingest)
    : folder_(fs::absolute(folder)), ingest_(std::move(ingest)) {
  std::error_code ignored;  // what cannot be created shows at the first ingest
  fs::remove_all(folder_ / kUnfinished, ignored);
  fs::create_directories(folder_, ignored);
}

absl::StatusOr<PendingTable> TableCache::Ingest(const fs::path& data,
                                                const v1::TableReadOptions& options) {
  PendingTable pending(folder_ / kUnfinished / RandomHexToken(16));
  const fs::path folder = pending.file().parent_path();
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return FolderError(folder, error);
  TY_ASSIGN_OR_RETURN(pending.schema, ingest_(data, options, pending.file()));
  return pending;
}

void TableCache::Publish(PendingTable table, std::string_view sha256) {
  std::error_code ignored;
  fs::rename(table.file(), PathOf(sha256, table.schema.read_options()), ignored);
}

absl::StatusOr<TableCache::Entry> TableCache::Open(std::string_view sha256,
                                                   const v1::TableSchema& schema,
                                                   const fs::path& data) {
  const fs::path file = PathOf(sha256, schema.read_options());
  const std::string key = file.filename().string();
  while (true) {
    absl::StatusOr<std::shared_ptr<const Table>> table = OpenTableCache(file);
    if (table.ok()) return Entry{file, *std::move(table)};
    if (!absl::IsNotFound(table.status()) && !absl::IsDataLoss(table.status())) {
      return table.status();
    }
    {
      MutexLock lock(&mutex_);
      if (!being_made_.insert(key).second) {
        const auto made = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
          return !being_made_.contains(key);
        };
        mutex_.Await(made);
        continue;
      }
    }
    const absl::Status remade = Remake(file, sha256, schema, data);
    {
      MutexLock lock(&mutex_);
      being_made_.erase(key);
    }
    TY_RETURN_IF_ERROR(remade);
  }
}

absl::Status TableCache::Remake(const fs::path& file, std::string_view sha256,
                                const v1::TableSchema& schema, const fs::path& data) {
  // Another caller may have made it between the look and our turn.
  if (OpenTableCache(file).ok()) return absl::OkStatus();
  absl::StatusOr<PendingTable> pending = Ingest(data, schema.read_options());
  if (absl::IsInvalidArgument(pending.status())) {
    return absl::DataLossError(absl::StrCat(
        "the data ", std::string(sha256),
        " were read before and cannot be read any more: ", pending.status().message()));
  }
  TY_RETURN_IF_ERROR(pending.status());
  std::error_code error;
  fs::rename(pending->file(), file, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("renaming a table to ", file.string(), ": ", error.message()));
  }
  // A file that opens badly although it was just made would be made again for ever.
  return OpenTableCache(file).status();
}

void TableCache::Remove(std::string_view sha256, const v1::TableReadOptions& options) {
  std::error_code ignored;
  fs::remove(PathOf(sha256, options), ignored);
}

fs::path TableCache::PathOf(std::string_view sha256, const v1::TableReadOptions& options) const {
  return folder_ / absl::StrCat(std::string(sha256), "-", HashOf(options).substr(0, 32));
}

}  // namespace trainyard
