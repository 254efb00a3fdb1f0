#include "client/cli/spec_keys.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cpp/status_macros.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"

namespace trainyard::cli {
namespace {

using google::protobuf::io::Tokenizer;

constexpr int kMaxDepth = 64;

std::vector<DocumentKey> KeysOf(const google::protobuf::Struct& object);

void AppendKeysOf(const google::protobuf::Value& value, std::vector<DocumentKey>& keys) {
  if (value.has_struct_value()) {
    for (DocumentKey& key : KeysOf(value.struct_value())) keys.push_back(std::move(key));
  }
  for (const auto& element : value.list_value().values()) AppendKeysOf(element, keys);
}

std::vector<DocumentKey> KeysOf(const google::protobuf::Struct& object) {
  std::vector<DocumentKey> keys;
  for (const auto& [name, value] : object.fields()) {
    DocumentKey key{name, {}};
    AppendKeysOf(value, key.children);
    keys.push_back(std::move(key));
  }
  return keys;
}

class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    if (text_.empty()) text_ = absl::StrCat(line + 1, ":", column + 1, ": ", message);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// Walks the tokens of a text-format document.
class TextFormatWalker {
 public:
  explicit TextFormatWalker(std::string_view text)
      : stream_(text.data(), static_cast<int>(text.size())), tokenizer_(&stream_, &errors_) {
    tokenizer_.set_comment_style(Tokenizer::SH_COMMENT_STYLE);
    tokenizer_.Next();
  }

  absl::StatusOr<std::vector<DocumentKey>> Document() {
    std::vector<DocumentKey> keys;
    const absl::Status status = Fields(keys, 0);
    if (!errors_.text().empty()) return absl::InvalidArgumentError(errors_.text());
    if (!status.ok()) return status;
    if (!AtEnd()) return Unexpected("a field name");
    return keys;
  }

 private:
  bool AtEnd() { return tokenizer_.current().type == Tokenizer::TYPE_END; }
  bool At(const char* symbol) { return tokenizer_.current().text == symbol; }
  bool Take(const char* symbol) {
    if (!At(symbol)) return false;
    tokenizer_.Next();
    return true;
  }

  absl::Status Unexpected(const char* expected) {
    const auto& token = tokenizer_.current();
    return absl::InvalidArgumentError(absl::StrCat(token.line + 1, ":", token.column + 1,
                                                   ": expected ", expected, ", found \"",
                                                   token.text, "\""));
  }

  absl::Status Fields(std::vector<DocumentKey>& keys, int depth) {
    if (depth > kMaxDepth) return absl::InvalidArgumentError("nested too deeply");
    while (tokenizer_.current().type == Tokenizer::TYPE_IDENTIFIER) {
      DocumentKey key{tokenizer_.current().text, {}};
      tokenizer_.Next();
      const bool colon = Take(":");
      if (!colon && !At("{") && !At("<")) return Unexpected(": or {");
      CLIENT_RETURN_IF_ERROR(Value(key.children, depth));
      keys.push_back(std::move(key));
      if (!Take(",")) Take(";");
    }
    return absl::OkStatus();
  }

  absl::Status Value(std::vector<DocumentKey>& children, int depth) {
    if (At("{") || At("<")) {
      const char* close = At("{") ? "}" : ">";
      tokenizer_.Next();
      CLIENT_RETURN_IF_ERROR(Fields(children, depth + 1));
      return Take(close) ? absl::OkStatus() : Unexpected(close);
    }
    if (Take("[")) {
      while (!At("]") && !AtEnd()) {
        CLIENT_RETURN_IF_ERROR(Value(children, depth + 1));
        if (!Take(",")) break;
      }
      return Take("]") ? absl::OkStatus() : Unexpected("]");
    }
    Take("-");
    if (AtEnd() || tokenizer_.current().type == Tokenizer::TYPE_SYMBOL) {
      return Unexpected("a value");
    }
    // Strings side by side are one.
    const bool text = tokenizer_.current().type == Tokenizer::TYPE_STRING;
    tokenizer_.Next();
    while (text && tokenizer_.current().type == Tokenizer::TYPE_STRING) tokenizer_.Next();
    return absl::OkStatus();
  }

  FirstError errors_;
  google::protobuf::io::ArrayInputStream stream_;
  Tokenizer tokenizer_;
};

}  // namespace

absl::StatusOr<std::vector<DocumentKey>> JsonKeys(std::string_view text) {
  google::protobuf::Struct object;
  const auto status = google::protobuf::util::JsonStringToMessage(std::string(text), &object);
  if (!status.ok()) return absl::InvalidArgumentError(std::string(status.message()));
  return KeysOf(object);
}

absl::StatusOr<std::vector<DocumentKey>> TextFormatKeys(std::string_view text) {
  return TextFormatWalker(text).Document();
}

}  // namespace trainyard::cli
