// Documents in memory, usually mapped from their cache.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "trainyard/v1/text.pb.h"

namespace trainyard {

// Immutable documents of valid UTF-8, none of them empty. Thread-safe.
class TextCorpus {
 public:
  virtual ~TextCorpus() = default;

  virtual const v1::TextSchema& schema() const = 0;
  int64_t document_count() const { return static_cast<int64_t>(starts().size()) - 1; }
  std::string_view document(int64_t index) const {
    return bytes().substr(starts()[index], starts()[index + 1] - starts()[index]);
  }
  bool has_labels() const { return !label_codes().empty(); }
  // The texts of all labels in order of their codes.
  virtual std::span<const std::string> labels() const = 0;
  // Label of every document, from 0; empty where documents have none.
  virtual std::span<const int32_t> label_codes() const = 0;
  // All documents, one behind the other.
  virtual std::string_view bytes() const = 0;
  // Where each document begins in `bytes`, and their end.
  virtual std::span<const uint64_t> starts() const = 0;
};

// Bounds on what a reader accepts; a file that exceeds one is INVALID_ARGUMENT.
struct TextLimits {
  int64_t max_documents = 2'000'000'000;
  int64_t max_labels = 100'000;
  int64_t max_line_bytes = int64_t{256} << 20;         // of JSON lines
  int64_t max_uncompressed_bytes = int64_t{64} << 30;  // of a gzip's content
  int max_reported_errors = 20;
};

// Parses a file (plain text or JSON lines, each plain or gzip) on `threads` threads and writes the
// cache of its documents, without holding more than a few pieces of it in memory (a gzip's content
// is held whole). Errors: INVALID_ARGUMENT with one violation per bad place, field `line L`, at
// most `limits.max_reported_errors`, or a single one of `file` where the file holds no document;
// NOT_FOUND, UNAVAILABLE for the files themselves.
absl::StatusOr<v1::TextSchema> IngestText(const std::filesystem::path& file,
                                          const v1::TextReadOptions& options,
                                          const TextLimits& limits, int threads,
                                          const std::filesystem::path& cache_file,
                                          FileSystem& files = FileSystem::Real());

// The same for bytes in memory, into memory.
absl::StatusOr<std::shared_ptr<const TextCorpus>> ParseText(std::string_view bytes,
                                                            const v1::TextReadOptions& options,
                                                            const TextLimits& limits, int threads);

// A corpus from documents in memory. INVALID_ARGUMENT for a document that is empty or no UTF-8, or
// when there are labels, but not one for each.
absl::StatusOr<std::shared_ptr<const TextCorpus>> MakeTextCorpus(
    const std::vector<std::string>& documents, const std::vector<std::string>& labels = {});

// Maps a cache into memory. DATA_LOSS when it is truncated or its index is damaged; `verify` also
// checks the checksum of the text, which reads the whole file.
absl::StatusOr<std::shared_ptr<const TextCorpus>> OpenTextCache(const std::filesystem::path& file,
                                                                bool verify = false);

}  // namespace trainyard
