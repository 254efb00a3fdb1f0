#include "core/data/text_corpus.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/data/text_cache.h"
#include "core/data/value_parsing.h"

namespace trainyard {
namespace {

class MemoryCorpus final : public TextCorpus {
 public:
  MemoryCorpus(v1::TextSchema schema, std::string bytes, std::vector<uint64_t> starts,
               std::vector<std::string> labels, std::vector<int32_t> codes)
      : schema_(std::move(schema)),
        bytes_(std::move(bytes)),
        starts_(std::move(starts)),
        labels_(std::move(labels)),
        codes_(std::move(codes)) {}

  const v1::TextSchema& schema() const override { return schema_; }
  std::span<const std::string> labels() const override { return labels_; }
  std::span<const int32_t> label_codes() const override { return codes_; }
  std::string_view bytes() const override { return bytes_; }
  std::span<const uint64_t> starts() const override { return starts_; }

 private:
  const v1::TextSchema schema_;
  const std::string bytes_;
  const std::vector<uint64_t> starts_;
  const std::vector<std::string> labels_;
  const std::vector<int32_t> codes_;
};

}  // namespace

absl::Status MemoryTextOutput::Append(std::string_view bytes) {
  bytes_.append(bytes);
  return absl::OkStatus();
}

absl::Status MemoryTextOutput::Finish(const v1::TextSchema& schema, std::vector<uint64_t> starts,
                                      std::vector<std::string> labels, std::vector<int32_t> codes) {
  corpus_ = std::make_shared<MemoryCorpus>(schema, std::move(bytes_), std::move(starts),
                                           std::move(labels), std::move(codes));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const TextCorpus>> MakeTextCorpus(
    const std::vector<std::string>& documents, const std::vector<std::string>& labels) {
  if (!labels.empty() && labels.size() != documents.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(labels.size(), " labels for ", documents.size(), " documents"));
  }
  v1::TextSchema schema;
  std::string bytes;
  std::vector<uint64_t> starts = {0};
  int64_t characters = 0;
  for (const std::string& document : documents) {
    if (document.empty() || FindInvalidUtf8(document).has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "document ", starts.size() - 1, document.empty() ? " is empty" : " is not UTF-8"));
    }
    characters += std::ranges::count_if(
        document, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
    schema.set_longest_document_bytes(
        std::max(schema.longest_document_bytes(), static_cast<int64_t>(document.size())));
    bytes += document;
    starts.push_back(bytes.size());
  }
  std::vector<std::string> distinct = labels;
  std::ranges::sort(distinct);
  distinct.erase(std::ranges::unique(distinct).begin(), distinct.end());
  std::vector<int32_t> codes;
  for (const std::string& label : labels) {
    codes.push_back(
        static_cast<int32_t>(std::ranges::lower_bound(distinct, label) - distinct.begin()));
  }
  schema.set_document_count(static_cast<int64_t>(documents.size()));
  schema.set_byte_count(static_cast<int64_t>(bytes.size()));
  schema.set_character_count(characters);
  schema.set_label_count(static_cast<int64_t>(distinct.size()));
  schema.mutable_labels()->Assign(distinct.begin(), distinct.end());
  return std::make_shared<MemoryCorpus>(std::move(schema), std::move(bytes), std::move(starts),
                                        std::move(distinct), std::move(codes));
}

}  // namespace trainyard
