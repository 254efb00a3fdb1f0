#include "core/data/csv_pass.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "core/data/csv_records.h"
#include "core/data/value_parsing.h"
#include "fast_float/fast_float.h"

namespace trainyard {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

class Pass {
 public:
  Pass(std::string_view piece, const CsvPassSettings& settings,
       const std::vector<CsvPassColumn>& columns)
      : at_(piece.data()),
        end_(piece.data() + piece.size()),
        delimiter_(settings.dialect->delimiter),
        line_end_(settings.dialect->line_end),
        settings_(settings),
        columns_(columns),
        result_(settings.limits->max_reported_errors) {
    result_.failures.resize(columns.size());
    result_.dictionaries.resize(columns.size());
  }

  CsvPassResult Run() {
    ReportNulByte();
    while (at_ != end_ && !result_.errors.full()) {
      if (!SkipBlankLine()) ReadRecord();
    }
    result_.line_count = line_ - 1;
    return std::move(result_);
  }

 private:
  void ReportNulByte() {
    const std::string_view text(at_, static_cast<size_t>(end_ - at_));
    const size_t position = text.find('\0');
    if (position == std::string_view::npos) return;
    const std::string_view before = text.substr(0, position);
    const size_t line_start = before.rfind(line_end_) + 1;  // 0 where there is none
    const std::string_view line = before.substr(line_start);
    result_.errors.Add(1 + std::count(before.begin(), before.end(), line_end_),
                       1 + std::count(line.begin(), line.end(), delimiter_),
                       "holds a NUL byte; a table file must be text");
    at_ = end_;
  }

  bool SkipBlankLine() {
    const char* at = at_;
    if (*at == '\r' && line_end_ == '\n' && at + 1 != end_) ++at;
    if (*at != line_end_) return false;
    at_ = at + 1;
    ++line_;
    return true;
  }

  void ReadRecord() {
    const char* const begin = at_;
    const int64_t line = line_;
    const auto count = static_cast<int64_t>(columns_.size());
    bool good = true;
    int64_t column = 0;
    while (true) {
      if (column < count) {
        good = ReadValue(column) && good;
      } else {
        good = SkipValue(column) && good;
      }
      ++column;
      if (at_ == end_ || *at_ == line_end_) break;
      ++at_;
    }
    if (at_ != end_) {
      ++at_;
      ++line_;
    }
    if (at_ == end_ && end_[-1] != line_end_) ++line_;  // the last line lacks its end
    if (good && column != count) {
      good = false;
      ReportFieldCount(line, column, count);
    }
    if (good && at_ - begin > settings_.limits->max_line_bytes) {
      good = false;
      result_.errors.Add(line, 0,
                         absl::StrCat("is longer than ", settings_.limits->max_line_bytes,
                                      " bytes; a record must be at most that long"));
    }
    result_.row_count += good ? 1 : 0;
  }

  void ReportFieldCount(int64_t line, int64_t found, int64_t expected) {
    const char* const source = settings_.dialect->header ? "the header" : "the first line";
    result_.errors.Add(line, std::min(found, expected) + (found > expected ? 1 : 0),
                       absl::StrCat("the row has ", found, found == 1 ? " value; " : " values; ",
                                    source, " has ", expected));
  }

  bool IsFieldEnd(const char* at) const {
    return at == end_ || *at == delimiter_ || *at == line_end_;
  }

  // False when the field cannot be read, which is reported.
  bool ReadValue(int64_t column) {
    const CsvPassColumn& target = columns_[static_cast<size_t>(column)];
    if (target.role == CsvRole::kNumber) return ReadNumber(column, target);
    if (target.role == CsvRole::kSkip) return SkipValue(column);
    CsvField field;
    if (!Take(column, field)) return false;
    if (target.role == CsvRole::kDate) {
      return StoreDate(column, target, field.text);
    }
    return StoreLevel(column, target, field.text);
  }

  bool ReadNumber(int64_t column, const CsvPassColumn& target) {
    double value = 0;
    const auto parsed = fast_float::from_chars(at_, end_, value);
    const char* after = parsed.ptr;
    if (after != end_ && *after == '\r' && line_end_ == '\n') ++after;
    if (parsed.ec == std::errc() && IsFieldEnd(after) && std::isfinite(value)) {
      target.numbers[result_.row_count] = IsMissingNumber(value) ? kMissing : value;
      at_ = after;
      return true;
    }
    const int64_t line = line_;
    CsvField field;
    if (!Take(column, field)) return false;
    double& stored = target.numbers[result_.row_count];
    if (IsMissing(field.text)) {
      stored = kMissing;
      return true;
    }
    const auto number = ParseNumber(field.text);
    stored = number.value_or(kMissing);
    return number.has_value() || Fail(column, target, line, field.text, "a finite number");
  }

  bool StoreDate(int64_t column, const CsvPassColumn& target, std::string_view text) {
    double& stored = target.numbers[result_.row_count];
    stored = kMissing;
    if (IsMissing(text)) return true;
    const auto date = ParseDate(text);
    if (!date)
      return Fail(column, target, line_, text, "an ISO 8601 date such as 2013-06-01T12:30Z");
    stored = *date;
    return true;
  }

  bool StoreLevel(int64_t column, const CsvPassColumn& target, std::string_view text) {
    int32_t& stored = target.codes[result_.row_count];
    stored = -1;
    if (IsMissing(text)) return true;
    CsvDictionary& dictionary = result_.dictionaries[static_cast<size_t>(column)];
    const auto found = dictionary.find(absl::string_view(text.data(), text.size()));
    if (found != dictionary.end()) {
      stored = found->second.code;
      return true;
    }
    if (static_cast<int64_t>(dictionary.size()) >= settings_.limits->max_levels) {
      result_.errors.Add(line_, column + 1,
                         absl::StrCat("the column has more than ", settings_.limits->max_levels,
                                      " different texts; a categorical column must have fewer"));
      return false;
    }
    stored = static_cast<int32_t>(dictionary.size());
    dictionary.emplace(text, CsvLevel{stored, line_});
    return true;
  }

  // Remembers that the column holds a text of another kind. False when that is an error in the
  // file.
  bool Fail(int64_t column, const CsvPassColumn& target, int64_t line, std::string_view text,
            absl::string_view expected) {
    CsvFailure& failure = result_.failures[static_cast<size_t>(column)];
    if (failure.line == 0) failure = {line, std::string(text.substr(0, 200))};
    if (!target.strict) return true;
    result_.errors.Add(line, column + 1,
                       absl::StrCat("the value ", QuoteValue(text), " must be ", expected));
    return false;
  }

  bool SkipValue(int64_t column) {
    if (at_ != end_ && *at_ != '"') {
      at_ = FindFieldEnd(at_, end_, delimiter_, line_end_);
      return true;
    }
    CsvField field;
    return Take(column, field);
  }

  // Reads a field as text and moves behind it. False when it is malformed, which is reported.
  bool Take(int64_t column, CsvField& field) {
    field = ReadField(at_, end_, delimiter_, line_end_, scratch_);
    at_ = field.end;
    const int64_t line = line_;
    line_ += field.lines_inside;
    if (field.error == nullptr) return true;
    result_.errors.Add(line, column + 1, field.error);
    return false;
  }

  bool IsMissing(std::string_view text) const {
    const std::string_view trimmed = TrimBlanks(text);
    if (trimmed.empty()) return true;
    const auto& missing = *settings_.missing_values;
    return std::find(missing.begin(), missing.end(), trimmed) != missing.end();
  }

  bool IsMissingNumber(double value) const {
    const auto& missing = settings_.missing_numbers;
    return !missing.empty() && std::find(missing.begin(), missing.end(), value) != missing.end();
  }

  const char* at_;
  const char* const end_;
  const char delimiter_;
  const char line_end_;
  const CsvPassSettings& settings_;
  const std::vector<CsvPassColumn>& columns_;
  int64_t line_ = 1;
  std::string scratch_;
  CsvPassResult result_;
};

}  // namespace

CsvPassResult RunCsvPass(std::string_view piece, const CsvPassSettings& settings,
                         const std::vector<CsvPassColumn>& columns) {
  return Pass(piece, settings, columns).Run();
}

}  // namespace trainyard
