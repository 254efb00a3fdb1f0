// Where documents go that were read: into a cache file or into memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "core/data/text_corpus.h"
#include "trainyard/v1/text.pb.h"

namespace trainyard {

class TextOutput {
 public:
  virtual ~TextOutput() = default;
  // The next bytes of the documents.
  virtual absl::Status Append(std::string_view bytes) = 0;
  // The documents are complete: `starts` as in TextCorpus; `codes` are empty where there are no
  // labels.
  virtual absl::Status Finish(const v1::TextSchema& schema, std::vector<uint64_t> starts,
                              std::vector<std::string> labels, std::vector<int32_t> codes) = 0;
};

// Writes a cache file under a temporary name beside its own, which it gets in Finish, when it is on
// the disk. Without a Finish that succeeds nothing is left.
class TextCacheWriter : public TextOutput {
 public:
  static absl::StatusOr<std::unique_ptr<TextCacheWriter>> Create(const std::filesystem::path& file,
                                                                 FileSystem& files);
};

// Keeps everything in memory.
class MemoryTextOutput : public TextOutput {
 public:
  absl::Status Append(std::string_view bytes) override;
  absl::Status Finish(const v1::TextSchema& schema, std::vector<uint64_t> starts,
                      std::vector<std::string> labels, std::vector<int32_t> codes) override;
  // After Finish, once.
  std::shared_ptr<const TextCorpus> Take() { return std::move(corpus_); }

 private:
  std::string bytes_;
  std::shared_ptr<const TextCorpus> corpus_;
};

}  // namespace trainyard
