#include "server/storage/job_filter.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "core/base/status.h"
#include "proto/schema/violations.h"
#include "server/storage/sqlite.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard {
namespace {

constexpr size_t kMaxFilterBytes = 4096;
constexpr int kMaxConditions = 32;
constexpr std::string_view kFields =
    "state, algorithm, priority, create_time, display_name or labels.KEY";

struct Token {
  enum class Kind { kWord, kQuoted, kOperator, kEnd };
  Kind kind = Kind::kEnd;
  std::string text;  // quoted text without its quotes and escapes
  size_t position = 1;
};

bool IsWordCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.' ||
         c == ':' || c == '+' || c == '/';
}

std::string Quote(std::string_view text) {
  return absl::StrCat("'", absl::CHexEscape(AbslView(text.substr(0, 60))), "'");
}

absl::Status Invalid(size_t position, std::string_view rule) {
  Violations violations;
  violations.Add("filter", absl::StrCat("at byte ", position, ": ", AbslView(rule)));
  return violations.ToStatus();
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  absl::StatusOr<Token> Next() {
    while (at_ < text_.size() && absl::ascii_isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    Token token;
    token.position = at_ + 1;
    if (at_ == text_.size()) return token;
    const char c = text_[at_];
    if (c == '"' || c == '\'') return Quoted(c);
    if (c == '=' || c == '!' || c == '<' || c == '>') return Operator();
    if (!IsWordCharacter(c)) {
      return Invalid(token.position,
                     absl::StrCat("unexpected ", Quote(text_.substr(at_, 1)),
                                  "; conditions are joined by AND, without parentheses, and other "
                                  "texts than plain words are quoted"));
    }
    token.kind = Token::Kind::kWord;
    while (at_ < text_.size() && IsWordCharacter(text_[at_])) token.text.push_back(text_[at_++]);
    return token;
  }

  // Whether the next character continues the word before without a space.
  bool NextIsQuote() const {
    return at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\'');
  }

 private:
  absl::StatusOr<Token> Quoted(char quote) {
    Token token{Token::Kind::kQuoted, "", at_ + 1};
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (text_[at_] == '\\' && ++at_ == text_.size()) break;
      token.text.push_back(text_[at_]);
    }
    if (at_ >= text_.size()) return Invalid(token.position, "this quote is never closed");
    ++at_;
    return token;
  }

  absl::StatusOr<Token> Operator() {
    Token token{Token::Kind::kOperator, std::string(1, text_[at_]), at_ + 1};
    ++at_;
    if (token.text != "=" && at_ < text_.size() && text_[at_] == '=') {
      token.text.push_back(text_[at_++]);
    }
    if (token.text == "!") return Invalid(token.position, "'!' must be followed by '='");
    return token;
  }

  std::string_view text_;
  size_t at_ = 0;
};

absl::StatusOr<int64_t> StateOf(const Token& value) {
  const std::string name =
      absl::StartsWith(value.text, "STATE_") ? value.text : absl::StrCat("STATE_", value.text);
  v1::Job::State state;
  if (v1::Job::State_Parse(name, &state) && state != v1::Job::STATE_UNSPECIFIED) return state;
  std::vector<std::string> names;
  for (int i = v1::Job::STATE_UNSPECIFIED + 1; i <= v1::Job::State_MAX; ++i) {
    if (v1::Job::State_IsValid(i)) {
      names.push_back(v1::Job::State_Name(static_cast<v1::Job::State>(i)).substr(6));
    }
  }
  return Invalid(value.position, absl::StrCat(Quote(value.text), " is no state; a state is one of ",
                                              absl::StrJoin(names, ", ")));
}

absl::StatusOr<int64_t> TimeOf(const Token& value) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, value.text, &time, &error) ||
      time == absl::InfiniteFuture() || time == absl::InfinitePast()) {
    return Invalid(value.position, absl::StrCat(Quote(value.text),
                                                " is no time; write it like 2026-01-31T12:00:00Z"));
  }
  return absl::ToUnixNanos(time);
}

absl::StatusOr<int64_t> NumberOf(const Token& value) {
  int64_t number = 0;
  if (absl::SimpleAtoi(value.text, &number)) return number;
  return Invalid(value.position, absl::StrCat(Quote(value.text), " is no whole number"));
}

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) {}

  absl::StatusOr<JobFilter> Parse() {
    TY_RETURN_IF_ERROR(Advance());
    if (token_.kind == Token::Kind::kEnd) return JobFilter{"TRUE", {}};
    for (int count = 1;; ++count) {
      if (count > kMaxConditions) {
        return Invalid(token_.position, absl::StrCat("more than ", kMaxConditions, " conditions"));
      }
      TY_RETURN_IF_ERROR(ParseCondition());
      if (token_.kind == Token::Kind::kEnd) return std::move(filter_);
      if (token_.kind != Token::Kind::kWord || token_.text != "AND") {
        return Invalid(token_.position,
                       absl::StrCat("expected AND or the end, found ", Quote(token_.text)));
      }
      TY_RETURN_IF_ERROR(Advance());
      filter_.condition += " AND ";
    }
  }

 private:
  absl::Status Advance() {
    TY_ASSIGN_OR_RETURN(token_, lexer_.Next());
    return absl::OkStatus();
  }

  absl::Status ParseCondition() {
    Token field = token_;
    if (field.kind != Token::Kind::kWord) {
      return Invalid(field.position, absl::StrCat("expected a field: ", AbslView(kFields)));
    }
    if (field.text == "labels." && lexer_.NextIsQuote()) {
      TY_RETURN_IF_ERROR(Advance());
      field.text += token_.text;
    }
    TY_RETURN_IF_ERROR(Advance());
    const Token comparison = token_;
    if (comparison.kind != Token::Kind::kOperator) {
      return Invalid(comparison.position,
                     absl::StrCat("expected =, !=, <, <=, > or >= after ", Quote(field.text)));
    }
    TY_RETURN_IF_ERROR(Advance());
    const Token value = token_;
    if (value.kind != Token::Kind::kWord && value.kind != Token::Kind::kQuoted) {
      return Invalid(value.position, absl::StrCat("expected a value after ", comparison.text));
    }
    TY_RETURN_IF_ERROR(Advance());
    return Translate(field, comparison, value);
  }

  absl::Status Translate(const Token& field, const Token& comparison, const Token& value) {
    if (field.text == "state") {
      if (comparison.text != "=" && comparison.text != "!=") {
        return Invalid(comparison.position, "states have no order; only = and != are possible");
      }
      TY_ASSIGN_OR_RETURN(const int64_t state, StateOf(value));
      return Compare("jobs.state", comparison, state);
    }
    if (field.text == "priority") {
      TY_ASSIGN_OR_RETURN(const int64_t number, NumberOf(value));
      return Compare("jobs.priority", comparison, number);
    }
    if (field.text == "create_time") {
      TY_ASSIGN_OR_RETURN(const int64_t time, TimeOf(value));
      return Compare("jobs.create_time", comparison, time);
    }
    if (field.text == "algorithm" || field.text == "display_name") {
      return Compare(absl::StrCat("jobs.", field.text), comparison, value.text);
    }
    constexpr std::string_view kLabels = "labels.";
    if (absl::StartsWith(field.text, AbslView(kLabels)) && field.text.size() > kLabels.size()) {
      absl::StrAppend(&filter_.condition,
                      "EXISTS (SELECT 1 FROM job_labels WHERE job_labels.job = jobs.job"
                      " AND job_labels.key = ? AND job_labels.value ",
                      comparison.text, " ?)");
      filter_.values.push_back(field.text.substr(kLabels.size()));
      filter_.values.push_back(value.text);
      return absl::OkStatus();
    }
    return Invalid(field.position,
                   absl::StrCat(Quote(field.text), " is no field; a field is ", AbslView(kFields)));
  }

  absl::Status Compare(std::string_view column, const Token& comparison,
                       std::variant<int64_t, std::string> value) {
    absl::StrAppend(&filter_.condition, AbslView(column), " ", comparison.text, " ?");
    filter_.values.push_back(std::move(value));
    return absl::OkStatus();
  }

  Lexer lexer_;
  Token token_;
  JobFilter filter_;
};

}  // namespace

absl::StatusOr<JobFilter> ParseJobFilter(std::string_view filter) {
  if (filter.size() > kMaxFilterBytes) {
    return Invalid(kMaxFilterBytes + 1, absl::StrCat("has ", filter.size(), " bytes; at most ",
                                                     kMaxFilterBytes, " are allowed"));
  }
  return Parser(filter).Parse();
}

}  // namespace trainyard
