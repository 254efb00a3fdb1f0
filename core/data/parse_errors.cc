#include "core/data/parse_errors.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/schema/violations.h"

namespace trainyard {

void ParseErrors::Add(int64_t line, int64_t column, std::string description) {
  if (full()) return;
  errors_.push_back({line, column, std::move(description)});
}

void ParseErrors::Merge(const ParseErrors& other, int64_t line_offset) {
  for (const ParseError& error : other.errors_) {
    errors_.push_back({error.line + line_offset, error.column, error.description});
  }
  std::stable_sort(errors_.begin(), errors_.end(), [](const ParseError& a, const ParseError& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  if (static_cast<int>(errors_.size()) > limit_) errors_.resize(static_cast<size_t>(limit_));
}

absl::Status ParseErrors::ToStatus() const {
  Violations violations;
  for (const ParseError& error : errors_) {
    std::string field = absl::StrCat("line ", error.line);
    if (error.column > 0) absl::StrAppend(&field, ", column ", error.column);
    violations.Add(field, error.description);
  }
  return violations.ToStatus();
}

std::string QuoteValue(std::string_view text) {
  constexpr size_t kMaxBytes = 60;
  const std::string_view shown = text.substr(0, kMaxBytes);
  return absl::StrCat("'", absl::Utf8SafeCHexEscape(absl::string_view(shown.data(), shown.size())),
                      shown.size() < text.size() ? "…'" : "'");
}

absl::Status InvalidFile(std::string_view field, std::string_view description) {
  Violations violations;
  violations.Add(field, description);
  return violations.ToStatus();
}

}  // namespace trainyard
