// The bad places of a file, in the order of its lines whatever thread found them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace trainyard {

// One bad place. Columns count from 1; 0 when the whole line is meant.
struct ParseError {
  int64_t line = 0;
  int64_t column = 0;
  std::string description;
};

// Keeps the first `limit` errors by line. Not thread-safe; each thread has its own, merged
// afterwards.
class ParseErrors {
 public:
  explicit ParseErrors(int limit) : limit_(limit) {}

  void Add(int64_t line, int64_t column, std::string description);
  // Adds the errors of `other`, whose lines begin `line_offset` later.
  void Merge(const ParseErrors& other, int64_t line_offset);
  bool empty() const { return errors_.empty(); }
  // Whether adding more makes no difference, as long as lines do not go back.
  bool full() const { return static_cast<int>(errors_.size()) >= limit_; }
  const std::vector<ParseError>& errors() const { return errors_; }

  // INVALID_ARGUMENT with a violation per error, field `line L, column C`; OK when there is none.
  absl::Status ToStatus() const;

 private:
  int limit_;
  std::vector<ParseError> errors_;
};

// `text` in single quotes, at most 60 bytes of it, control characters escaped.
std::string QuoteValue(std::string_view text);

// INVALID_ARGUMENT with a single violation of `field`.
absl::Status InvalidFile(std::string_view field, std::string_view description);

}  // namespace trainyard
