// The cache of documents; README.md of this folder describes the format.
#include "core/data/text_cache.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/base/secret.h"
#include "core/base/status.h"
#include "core/data/file_bytes.h"
#include "core/data/text_list.h"

namespace trainyard {
namespace {

constexpr char kMagic[8] = {'T', 'Y', 'T', 'E', 'X', 'T', '0', '1'};
constexpr uint64_t kAlignment = 64;

// Stands at the end of the file, so that the documents can be written as they come.
struct Footer {
  uint64_t text_bytes;  // from the beginning of the file
  uint64_t document_count;
  uint64_t starts_offset;
  uint64_t codes_offset;  // 0: no labels
  uint64_t labels_offset;
  uint64_t labels_bytes;
  uint64_t schema_offset;
  uint64_t schema_bytes;
  uint64_t file_bytes;
  uint32_t text_crc;
  uint32_t index_crc;  // of everything between text and footer
  uint32_t reserved;
  uint32_t footer_crc;  // of the footer up to here
  char magic[8];
};
static_assert(sizeof(Footer) == 96);

template <typename T>
std::string_view BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

uint64_t Align(uint64_t offset) { return (offset + kAlignment - 1) / kAlignment * kAlignment; }

uint32_t CrcOf(const Footer& footer) {
  return Crc32c({reinterpret_cast<const char*>(&footer), offsetof(Footer, footer_crc)});
}

class Writer final : public TextCacheWriter {
 public:
  Writer(std::filesystem::path file, std::filesystem::path temporary,
         std::unique_ptr<WritableFile> writer, FileSystem& files)
      : file_(std::move(file)),
        temporary_(std::move(temporary)),
        writer_(std::move(writer)),
        files_(files) {}
  ~Writer() override {
    if (writer_ == nullptr) return;
    writer_ = nullptr;
    files_.Remove(temporary_).IgnoreError();
  }

  absl::Status Append(std::string_view bytes) override {
    text_crc_ = ExtendCrc32c(text_crc_, bytes);
    offset_ += bytes.size();
    return writer_->Append(bytes);
  }

  absl::Status Finish(const v1::TextSchema& schema, std::vector<uint64_t> starts,
                      std::vector<std::string> labels, std::vector<int32_t> codes) override {
    Footer footer{};
    footer.text_bytes = offset_;
    footer.document_count = starts.size() - 1;
    TY_ASSIGN_OR_RETURN(footer.starts_offset, AppendIndex(BytesOf(starts)));
    if (!codes.empty()) {
      TY_ASSIGN_OR_RETURN(footer.codes_offset, AppendIndex(BytesOf(codes)));
    }
    const std::string label_bytes = EncodeTexts(labels);
    footer.labels_bytes = label_bytes.size();
    TY_ASSIGN_OR_RETURN(footer.labels_offset, AppendIndex(label_bytes));
    const std::string schema_bytes = schema.SerializeAsString();
    footer.schema_bytes = schema_bytes.size();
    TY_ASSIGN_OR_RETURN(footer.schema_offset, AppendIndex(schema_bytes));
    TY_RETURN_IF_ERROR(AppendIndex("").status());
    footer.file_bytes = offset_ + sizeof(footer);
    footer.text_crc = text_crc_;
    footer.index_crc = index_crc_;
    std::memcpy(footer.magic, kMagic, sizeof(kMagic));
    footer.footer_crc = CrcOf(footer);
    TY_RETURN_IF_ERROR(writer_->Append({reinterpret_cast<const char*>(&footer), sizeof(footer)}));
    return Publish();
  }

 private:
  // Where `bytes` were put: at a multiple of kAlignment.
  absl::StatusOr<uint64_t> AppendIndex(std::string_view bytes) {
    const std::string padding(Align(offset_) - offset_, '\0');
    for (const std::string_view part : {std::string_view(padding), bytes}) {
      index_crc_ = ExtendCrc32c(index_crc_, part);
      TY_RETURN_IF_ERROR(writer_->Append(part));
    }
    const uint64_t place = offset_ + padding.size();
    offset_ = place + bytes.size();
    return place;
  }

  absl::Status Publish() {
    TY_RETURN_IF_ERROR(writer_->Sync());
    TY_RETURN_IF_ERROR(writer_->Close());
    TY_RETURN_IF_ERROR(files_.Rename(temporary_, file_));
    writer_ = nullptr;
    return files_.SyncFolder(file_.has_parent_path() ? file_.parent_path() : ".");
  }

  const std::filesystem::path file_;
  const std::filesystem::path temporary_;
  std::unique_ptr<WritableFile> writer_;
  FileSystem& files_;
  uint64_t offset_ = 0;
  uint32_t text_crc_ = 0;
  uint32_t index_crc_ = 0;
};

class MappedCorpus final : public TextCorpus {
 public:
  explicit MappedCorpus(std::unique_ptr<MappedFile> file) : file_(std::move(file)) {}

  const v1::TextSchema& schema() const override { return schema_; }
  std::span<const std::string> labels() const override { return labels_; }
  std::span<const int32_t> label_codes() const override { return codes_; }
  std::string_view bytes() const override { return text_; }
  std::span<const uint64_t> starts() const override { return starts_; }

  // What is wrong with the file; empty when it is sound.
  std::string Load(bool verify) {
    const std::string_view all = file_->bytes();
    Footer footer{};
    if (all.size() < sizeof(footer)) return "it is shorter than its footer";
    std::memcpy(&footer, all.data() + all.size() - sizeof(footer), sizeof(footer));
    if (std::memcmp(footer.magic, kMagic, sizeof(kMagic)) != 0) return "it is no text cache";
    if (footer.footer_crc != CrcOf(footer)) return "the checksum of its footer differs";
    if (footer.file_bytes != all.size()) {
      return absl::StrCat("it has ", all.size(), " bytes instead of ", footer.file_bytes);
    }
    const uint64_t index_end = all.size() - sizeof(footer);
    if (footer.text_bytes > index_end) return "its text is cut off";
    text_ = all.substr(0, footer.text_bytes);
    const std::string_view index = all.substr(footer.text_bytes, index_end - footer.text_bytes);
    if (Crc32c(index) != footer.index_crc) return "the checksum of its index differs";
    if (verify && Crc32c(text_) != footer.text_crc) return "the checksum of its text differs";
    return LoadIndex(footer, all);
  }

 private:
  std::string LoadIndex(const Footer& footer, std::string_view all) {
    const auto holds = [&](uint64_t offset, uint64_t count, uint64_t size) {
      return offset % kAlignment == 0 && offset <= all.size() &&
             count <= (all.size() - offset) / size;
    };
    const uint64_t documents = footer.document_count;
    if (documents >= all.size() || !holds(footer.starts_offset, documents + 1, sizeof(uint64_t)) ||
        !holds(footer.codes_offset, footer.codes_offset == 0 ? 0 : documents, sizeof(int32_t)) ||
        !holds(footer.labels_offset, footer.labels_bytes, 1) ||
        !holds(footer.schema_offset, footer.schema_bytes, 1) ||
        footer.schema_bytes > std::numeric_limits<int32_t>::max()) {
      return "a place in its footer is wrong";
    }
    starts_ = {reinterpret_cast<const uint64_t*>(all.data() + footer.starts_offset), documents + 1};
    if (starts_.front() != 0 || starts_.back() != footer.text_bytes ||
        !std::ranges::is_sorted(starts_)) {
      return "its documents are in disorder";
    }
    if (!DecodeTexts(all.substr(footer.labels_offset, footer.labels_bytes), labels_)) {
      return "its labels are cut off";
    }
    if (footer.codes_offset != 0) {
      codes_ = {reinterpret_cast<const int32_t*>(all.data() + footer.codes_offset), documents};
      const auto known = [&](int32_t code) {
        return code >= 0 && code < static_cast<int64_t>(labels_.size());
      };
      if (!std::ranges::all_of(codes_, known)) return "a document has an unknown label";
    }
    if (!schema_.ParseFromArray(all.data() + footer.schema_offset,
                                static_cast<int>(footer.schema_bytes))) {
      return "its schema is damaged";
    }
    return "";
  }

  const std::unique_ptr<MappedFile> file_;
  v1::TextSchema schema_;
  std::string_view text_;
  std::span<const uint64_t> starts_;
  std::span<const int32_t> codes_;
  std::vector<std::string> labels_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TextCacheWriter>> TextCacheWriter::Create(
    const std::filesystem::path& file, FileSystem& files) {
  std::filesystem::path temporary = file;
  temporary += absl::StrCat(".", RandomHexToken(6), ".tmp");
  TY_ASSIGN_OR_RETURN(auto writer, files.Create(temporary, 0));
  return std::make_unique<Writer>(file, std::move(temporary), std::move(writer), files);
}

absl::StatusOr<std::shared_ptr<const TextCorpus>> OpenTextCache(const std::filesystem::path& file,
                                                                bool verify) {
  TY_ASSIGN_OR_RETURN(auto mapped, MappedFile::Open(file));
  auto corpus = std::make_shared<MappedCorpus>(std::move(mapped));
  const std::string damage = corpus->Load(verify);
  if (damage.empty()) return corpus;
  return absl::DataLossError(absl::StrCat("text cache ", file.string(), " is damaged: ", damage));
}

}  // namespace trainyard
