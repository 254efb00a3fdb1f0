// From a file of text to documents, piece by piece.
#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "core/base/parallel.h"
#include "core/base/status.h"
#include "core/data/file_bytes.h"
#include "core/data/gzip.h"
#include "core/data/text_cache.h"
#include "core/data/text_corpus.h"
#include "core/data/text_pieces.h"

namespace trainyard {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr size_t kPieceBytes = size_t{4} << 20;
constexpr int kMaxSchemaLabels = 1000;

v1::TextReadOptions Complete(v1::TextReadOptions options, std::string_view text) {
  if (options.format() == v1::TextReadOptions::FORMAT_UNSPECIFIED) {
    options.set_format(DetectTextFormat(text));
  }
  if (options.format() == v1::TextReadOptions::FORMAT_JSON_LINES && options.text_field().empty()) {
    options.set_text_field("text");
  }
  return options;
}

absl::Status CheckOptions(const v1::TextReadOptions& options) {
  const bool lines = options.format() == v1::TextReadOptions::FORMAT_JSON_LINES;
  if (lines && !options.document_separator().empty()) {
    return InvalidFile("document_separator", "is given, but every line of JSON is a document");
  }
  if (lines && options.text_field() == options.label_field()) {
    return InvalidFile("label_field", absl::StrCat("is ", QuoteValue(options.label_field()),
                                                   ", as is `text_field`"));
  }
  if (!lines && !options.label_field().empty()) {
    return InvalidFile("label_field", absl::StrCat("is ", QuoteValue(options.label_field()),
                                                   ", but plain text has no labels"));
  }
  if (!lines && !options.text_field().empty()) {
    return InvalidFile("text_field", absl::StrCat("is ", QuoteValue(options.text_field()),
                                                  ", but plain text has no fields"));
  }
  return absl::OkStatus();
}

// Joins pieces in the order of the file.
class Joiner {
 public:
  Joiner(const TextLimits& limits, TextOutput& output)
      : limits_(limits), output_(output), errors_(limits.max_reported_errors) {}

  absl::Status Add(const TextPiece& piece) {
    errors_.Merge(piece.errors, lines_);
    lines_ += piece.lines;
    if (!errors_.empty()) return absl::OkStatus();  // what follows is read for its errors alone
    characters_ += piece.characters;
    TY_RETURN_IF_ERROR(AddLabels(piece));
    for (size_t i = 0; i < piece.documents.size(); ++i) {
      if (i > 0 || !piece.continues || starts_.empty()) starts_.push_back(bytes_);
      bytes_ += piece.documents[i].size();
      TY_RETURN_IF_ERROR(output_.Append(piece.documents[i]));
    }
    if (static_cast<int64_t>(starts_.size()) > limits_.max_documents) {
      return InvalidFile("file",
                         absl::StrCat("holds more than ", limits_.max_documents, " documents"));
    }
    return absl::OkStatus();
  }
  bool full() const { return errors_.full(); }

  absl::StatusOr<v1::TextSchema> Finish(const v1::TextReadOptions& options) {
    TY_RETURN_IF_ERROR(errors_.ToStatus());
    if (starts_.empty()) return InvalidFile("file", "holds no document");
    v1::TextSchema schema;
    schema.set_document_count(static_cast<int64_t>(starts_.size()));
    schema.set_byte_count(static_cast<int64_t>(bytes_));
    schema.set_character_count(characters_);
    starts_.push_back(bytes_);
    uint64_t longest = 0;
    for (size_t i = 1; i < starts_.size(); ++i) {
      longest = std::max(longest, starts_[i] - starts_[i - 1]);
    }
    schema.set_longest_document_bytes(static_cast<int64_t>(longest));
    std::vector<std::string> labels = SortLabels();
    schema.set_label_count(static_cast<int64_t>(labels.size()));
    for (size_t i = 0; i < labels.size() && i < kMaxSchemaLabels; ++i) schema.add_labels(labels[i]);
    *schema.mutable_read_options() = options;
    TY_RETURN_IF_ERROR(
        output_.Finish(schema, std::move(starts_), std::move(labels), std::move(codes_)));
    return schema;
  }

 private:
  absl::Status AddLabels(const TextPiece& piece) {
    std::vector<int32_t> codes;
    for (const std::string& text : piece.label_texts) {
      codes.push_back(
          label_codes_.try_emplace(text, static_cast<int32_t>(label_codes_.size())).first->second);
    }
    if (static_cast<int64_t>(label_codes_.size()) > limits_.max_labels) {
      return InvalidFile("label_field",
                         absl::StrCat("more than ", limits_.max_labels, " distinct labels"));
    }
    for (const int32_t label : piece.labels) codes_.push_back(codes[label]);
    return absl::OkStatus();
  }

  // Gives labels their final codes.
  std::vector<std::string> SortLabels() {
    std::vector<std::pair<std::string, int32_t>> sorted(label_codes_.begin(), label_codes_.end());
    std::ranges::sort(sorted);
    std::vector<int32_t> rank(sorted.size());
    std::vector<std::string> labels;
    for (auto& [text, code] : sorted) {
      rank[code] = static_cast<int32_t>(labels.size());
      labels.push_back(std::move(text));
    }
    for (int32_t& code : codes_) code = rank[code];
    return labels;
  }

  const TextLimits& limits_;
  TextOutput& output_;
  ParseErrors errors_;
  int64_t lines_ = 0;
  int64_t characters_ = 0;
  uint64_t bytes_ = 0;
  std::vector<uint64_t> starts_;
  absl::flat_hash_map<std::string, int32_t> label_codes_;
  std::vector<int32_t> codes_;
};

absl::StatusOr<v1::TextSchema> ReadPlainBytes(std::string_view text,
                                              const v1::TextReadOptions& given,
                                              const TextLimits& limits, int threads,
                                              TextOutput& output) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const v1::TextReadOptions options = Complete(given, text);
  TY_RETURN_IF_ERROR(CheckOptions(options));
  Joiner joiner(limits, output);
  bool first = true;
  while (!text.empty() && !joiner.full()) {
    std::vector<std::string_view> parts;
    while (!text.empty() && static_cast<int>(parts.size()) < 2 * threads) {
      parts.push_back(text.substr(0, FirstPieceBytes(text, options, kPieceBytes)));
      text.remove_prefix(parts.back().size());
    }
    std::vector<TextPiece> pieces(parts.size());
    ParallelFor(threads, static_cast<int64_t>(parts.size()), [&](int64_t i) {
      pieces[i] = ReadTextPiece(parts[i], options, limits, first && i == 0);
    });
    first = false;
    for (const TextPiece& piece : pieces) TY_RETURN_IF_ERROR(joiner.Add(piece));
  }
  return joiner.Finish(options);
}

absl::StatusOr<v1::TextSchema> ReadBytes(std::string_view bytes, const v1::TextReadOptions& options,
                                         const TextLimits& limits, int threads,
                                         TextOutput& output) {
  if (!LooksLikeGzip(bytes)) return ReadPlainBytes(bytes, options, limits, threads, output);
  TY_ASSIGN_OR_RETURN(const auto plain, Gunzip(bytes, limits.max_uncompressed_bytes));
  return ReadPlainBytes(plain->bytes(), options, limits, threads, output);
}

}  // namespace

absl::StatusOr<v1::TextSchema> IngestText(const std::filesystem::path& file,
                                          const v1::TextReadOptions& options,
                                          const TextLimits& limits, int threads,
                                          const std::filesystem::path& cache_file,
                                          FileSystem& files) {
  TY_ASSIGN_OR_RETURN(const auto mapped, MappedFile::Open(file));
  TY_ASSIGN_OR_RETURN(const auto writer, TextCacheWriter::Create(cache_file, files));
  return ReadBytes(mapped->bytes(), options, limits, threads, *writer);
}

absl::StatusOr<std::shared_ptr<const TextCorpus>> ParseText(std::string_view bytes,
                                                            const v1::TextReadOptions& options,
                                                            const TextLimits& limits, int threads) {
  MemoryTextOutput output;
  TY_RETURN_IF_ERROR(ReadBytes(bytes, options, limits, threads, output).status());
  return output.Take();
}

}  // namespace trainyard
