#include "core/data/text_pieces.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "core/data/value_parsing.h"
#include "rapidjson/error/en.h"
#include "rapidjson/memorystream.h"
#include "rapidjson/reader.h"

namespace trainyard {
namespace {

constexpr std::string_view kBlanks = " \t\r";
constexpr unsigned kJsonFlags =
    rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag;

bool IsContinuationByte(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

int64_t CountCharacters(std::string_view text) {
  return static_cast<int64_t>(text.size()) - std::ranges::count_if(text, IsContinuationByte);
}

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(kBlanks) == std::string_view::npos;
}

// Takes the members `text` and `label` of one object; skips everything else in it.
class LineHandler : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, LineHandler> {
 public:
  LineHandler(std::string_view text_field, std::string_view label_field)
      : text_field_(text_field), label_field_(label_field) {}

  bool StartObject() {
    is_object_ = is_object_ || depth_ == 0;
    return Nested(+1);
  }
  bool EndObject(rapidjson::SizeType) { return Nested(-1); }
  bool StartArray() { return Nested(+1); }
  bool EndArray(rapidjson::SizeType) { return Nested(-1); }
  bool Key(const char* bytes, rapidjson::SizeType size, bool) {
    if (depth_ != 1) return true;
    const std::string_view key(bytes, size);
    next_ = !text_field_.empty() && key == text_field_     ? Member::kText
            : !label_field_.empty() && key == label_field_ ? Member::kLabel
                                                           : Member::kOther;
    return true;
  }
  bool String(const char* bytes, rapidjson::SizeType size, bool) {
    const Member member = Take();
    if (member == Member::kText) text_.emplace(bytes, size);
    if (member == Member::kLabel) label_.emplace(bytes, size);
    return true;
  }
  bool Bool(bool value) { return Label(value ? "true" : "false"); }
  bool Int(int value) { return Label(absl::StrCat(value)); }
  bool Uint(unsigned value) { return Label(absl::StrCat(value)); }
  bool Int64(int64_t value) { return Label(absl::StrCat(value)); }
  bool Uint64(uint64_t value) { return Label(absl::StrCat(value)); }
  bool Default() {
    Take();
    return true;
  }

  bool is_object() const { return is_object_; }
  std::optional<std::string>& text() { return text_; }
  std::optional<std::string>& label() { return label_; }

 private:
  enum class Member { kOther, kText, kLabel };

  // What the value that begins now belongs to.
  Member Take() { return depth_ == 1 ? std::exchange(next_, Member::kOther) : Member::kOther; }
  bool Nested(int change) {
    if (change > 0) Take();
    depth_ += change;
    return true;
  }
  bool Label(std::string value) {
    if (Take() == Member::kLabel) label_ = std::move(value);
    return true;
  }

  const std::string_view text_field_;
  const std::string_view label_field_;
  int depth_ = 0;
  bool is_object_ = false;
  Member next_ = Member::kOther;
  std::optional<std::string> text_;
  std::optional<std::string> label_;
};

// Reads lines of JSON into a piece.
class JsonLinesReader {
 public:
  JsonLinesReader(const v1::TextReadOptions& options, const TextLimits& limits, TextPiece& piece)
      : options_(options), limits_(limits), piece_(piece) {}

  void Read(std::string_view text) {
    int64_t line = 0;
    while (!text.empty() && !piece_.errors.full()) {
      ++line;
      const size_t end = std::min(text.find('\n'), text.size());
      ReadLine(text.substr(0, end), line);
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    size_t start = 0;
    for (const size_t length : lengths_) {
      piece_.documents.push_back(std::string_view(*piece_.owned).substr(start, length));
      start += length;
    }
  }

 private:
  void ReadLine(std::string_view bytes, int64_t line) {
    if (IsBlank(bytes)) return;
    if (static_cast<int64_t>(bytes.size()) > limits_.max_line_bytes) {
      piece_.errors.Add(line, 0,
                        absl::StrCat("has ", bytes.size(), " bytes; at most ",
                                     limits_.max_line_bytes, " are allowed"));
      return;
    }
    LineHandler handler(options_.text_field(), options_.label_field());
    rapidjson::MemoryStream stream(bytes.data(), bytes.size());
    const rapidjson::ParseResult result = reader_.Parse<kJsonFlags>(stream, handler);
    if (!result) {
      piece_.errors.Add(line, static_cast<int64_t>(result.Offset()) + 1,
                        absl::StrCat("is no JSON: ", rapidjson::GetParseError_En(result.Code())));
      return;
    }
    Take(handler, line);
  }

  void Take(LineHandler& handler, int64_t line) {
    if (!handler.is_object()) {
      piece_.errors.Add(line, 0, "is no JSON object");
    } else if (!handler.text().has_value()) {
      piece_.errors.Add(
          line, 0, absl::StrCat("has no text in the member ", QuoteValue(options_.text_field())));
    } else if (!options_.label_field().empty() && !handler.label().has_value()) {
      piece_.errors.Add(
          line, 0,
          absl::StrCat("has no label (a text, a whole number or a truth value) in the "
                       "member ",
                       QuoteValue(options_.label_field())));
    } else if (!handler.text()->empty()) {
      piece_.characters += CountCharacters(*handler.text());
      *piece_.owned += *handler.text();
      lengths_.push_back(handler.text()->size());
      if (handler.label().has_value()) piece_.labels.push_back(CodeOf(*std::move(handler.label())));
    }
  }

  int32_t CodeOf(std::string label) {
    const auto code = static_cast<int32_t>(piece_.label_texts.size());
    const auto [found, added] = codes_.try_emplace(label, code);
    if (added) piece_.label_texts.push_back(std::move(label));
    return found->second;
  }

  const v1::TextReadOptions& options_;
  const TextLimits& limits_;
  TextPiece& piece_;
  rapidjson::Reader reader_;
  std::vector<size_t> lengths_;
  absl::flat_hash_map<std::string, int32_t> codes_;
};

void ReadPlain(std::string_view text, const v1::TextReadOptions& options, bool first,
               TextPiece& piece) {
  const std::string& separator = options.document_separator();
  piece.continues = !first && separator.empty();
  piece.characters = 0;
  if (const auto bad = FindInvalidUtf8(text); bad.has_value()) {
    const std::string_view before = text.substr(0, *bad);
    const size_t line_start = before.find_last_of('\n') + 1;  // npos + 1 is 0
    piece.errors.Add(std::ranges::count(before, '\n') + 1,
                     static_cast<int64_t>(*bad - line_start) + 1, "is not UTF-8");
    return;
  }
  while (!text.empty()) {
    const size_t end =
        separator.empty() ? text.size() : std::min(text.find(separator), text.size());
    if (end > 0) {
      piece.documents.push_back(text.substr(0, end));
      piece.characters += CountCharacters(piece.documents.back());
    }
    text.remove_prefix(std::min(end + separator.size(), text.size()));
  }
}

}  // namespace

v1::TextReadOptions::Format DetectTextFormat(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (!IsBlank(line)) {
      LineHandler handler("", "");
      rapidjson::MemoryStream stream(line.data(), line.size());
      const bool parsed = !rapidjson::Reader().Parse<kJsonFlags>(stream, handler).IsError();
      return parsed && handler.is_object() ? v1::TextReadOptions::FORMAT_JSON_LINES
                                           : v1::TextReadOptions::FORMAT_PLAIN;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return v1::TextReadOptions::FORMAT_PLAIN;
}

size_t FirstPieceBytes(std::string_view text, const v1::TextReadOptions& options, size_t target) {
  if (text.size() <= target) return text.size();
  const bool lines = options.format() == v1::TextReadOptions::FORMAT_JSON_LINES;
  const std::string_view border = lines ? std::string_view("\n") : options.document_separator();
  if (!border.empty()) {
    // A border that begins before `target` and ends behind it must not be cut.
    const size_t found = text.find(border, target - std::min(target, border.size() - 1));
    return found == std::string_view::npos ? text.size() : found + border.size();
  }
  size_t bytes = target;
  while (bytes > 1 && IsContinuationByte(text[bytes])) --bytes;
  return bytes;
}

TextPiece ReadTextPiece(std::string_view text, const v1::TextReadOptions& options,
                        const TextLimits& limits, bool first) {
  TextPiece piece;
  piece.errors = ParseErrors(limits.max_reported_errors);
  piece.lines = std::ranges::count(text, '\n');
  if (options.format() == v1::TextReadOptions::FORMAT_JSON_LINES) {
    JsonLinesReader(options, limits, piece).Read(text);
  } else {
    ReadPlain(text, options, first, piece);
  }
  return piece;
}

}  // namespace trainyard
