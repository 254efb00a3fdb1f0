#include "core/data/csv_pass.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "core/data/csv_records.h"
#include "core/data/short_number.h"
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
        nul_(end_),
        delimiter_(settings.dialect->delimiter),
        line_end_(settings.dialect->line_end),
        short_numbers_(delimiter_, line_end_),
        settings_(settings),
        columns_(columns),
        result_(settings.limits->max_reported_errors) {
    result_.failures.resize(columns.size());
    result_.levels.resize(columns.size());
    const size_t nul = piece.find('\0');
    if (nul != std::string_view::npos) nul_ = piece.data() + nul;
  }

  CsvPassResult Run() {
    while (at_ != end_ && !result_.errors.full()) {
      if (SkipBlankLine()) continue;
      const char* const record = at_;
      const int64_t line = line_;
      ReadRecord();
      if (nul_ < at_) ReportNulByte(record, line);
    }
    result_.line_count = line_ - 1;
    return std::move(result_);
  }

 private:
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
      good = (column < count ? ReadValue(column) : SkipValue(column)) && good;
      ++column;
      if (at_ == end_ || *at_ == line_end_) break;
      ++at_;
    }
    if (at_ != end_) {
      ++at_;
      ++line_;
    } else {
      ++line_;  // the last line lacks its end
    }
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

  // Reports the first NUL byte of the piece, which lies in the record that was just read.
  void ReportNulByte(const char* record, int64_t line) {
    for (int64_t column = 0;; ++column) {
      const CsvField field = ReadField(record, at_, delimiter_, line_end_, scratch_);
      if (nul_ <= field.end || field.end == at_) {
        const int64_t lines = std::count(record, nul_, line_end_);
        nul_ = end_;
        return Report(line + lines, column, "holds a NUL byte; a table file must be text");
      }
      line += field.lines_inside;
      record = field.end + 1;
    }
  }

  // Adds an error, naming the column. `column` counts from 0.
  void Report(int64_t line, int64_t column, std::string description) {
    if (static_cast<size_t>(column) < columns_.size()) {
      const std::string& name = settings_.dialect->names[static_cast<size_t>(column)];
      absl::StrAppend(&description, " (column ", QuoteValue(name), ")");
    }
    result_.errors.Add(line, column + 1, std::move(description));
  }

  // False when the field cannot be read, which is reported.
  bool ReadValue(int64_t column) {
    const CsvPassColumn& target = columns_[static_cast<size_t>(column)];
    if (target.role == CsvRole::kNumber) return ReadNumber(column, target);
    if (target.role == CsvRole::kSkip) return SkipValue(column);
    const int64_t line = line_;
    CsvField field;
    if (!Take(column, field)) return false;
    if (target.role == CsvRole::kDate) return StoreDate(column, target, line, field.text);
    return StoreLevel(column, target, line, field.text);
  }

  bool ReadNumber(int64_t column, const CsvPassColumn& target) {
    double value = 0;
    if (end_ - at_ >= ShortNumberReader::kReadAhead) {
      const char* const after = short_numbers_.Read(at_, value);
      if (after != nullptr && (*after != '\r' || after[1] == line_end_ || line_end_ == '\r')) {
        at_ = after + (*after == '\r' && line_end_ == '\n' ? 1 : 0);
        target.numbers[result_.row_count] = IsMissingNumber(value) ? kMissing : value;
        return true;
      }
    }
    return ReadLongNumber(column, target);
  }

  bool ReadLongNumber(int64_t column, const CsvPassColumn& target) {
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
    stored = kMissing;
    if (IsMissing(field.text, settings_)) return true;
    const auto number = ParseNumber(field.text);
    if (!number) return Fail(column, target, line, field.text, "a finite number");
    if (!IsMissingNumber(*number)) stored = *number;
    return true;
  }

  bool StoreDate(int64_t column, const CsvPassColumn& target, int64_t line, std::string_view text) {
    double& stored = target.numbers[result_.row_count];
    stored = kMissing;
    if (IsMissing(text, settings_)) return true;
    const auto date = ParseDate(text);
    if (!date) {
      return Fail(column, target, line, text, "an ISO 8601 date such as 2013-06-01T12:30Z");
    }
    stored = *date;
    return true;
  }

  bool StoreLevel(int64_t column, const CsvPassColumn& target, int64_t line,
                  std::string_view text) {
    PieceLevels& levels = result_.levels[static_cast<size_t>(column)];
    int32_t& stored = target.codes[result_.row_count];
    const bool is_short = !text.empty() && text.data() != scratch_.data() &&
                          static_cast<int64_t>(text.size()) <= ShortText::kMaxBytes &&
                          end_ - text.data() >= ShortText::kReadAhead;
    if (!is_short) return StoreLongLevel(column, target, line, text);
    const ShortText key = ShortText::Load(text.data(), text.size());
    stored = levels.short_codes.Find(key);
    if (stored != ShortTextCodes::kUnknown) return true;
    if (!StoreLongLevel(column, target, line, text)) return false;
    levels.short_codes.Add(key, stored);
    return true;
  }

  bool StoreLongLevel(int64_t column, const CsvPassColumn& target, int64_t line,
                      std::string_view text) {
    PieceLevels& levels = result_.levels[static_cast<size_t>(column)];
    int32_t& stored = target.codes[result_.row_count];
    const auto known = levels.codes.find(absl::string_view(text.data(), text.size()));
    if (known != levels.codes.end()) {
      stored = known->second;
      return true;
    }
    if (text.data() == scratch_.data()) text = levels.copies.emplace_back(text);
    const absl::string_view key(text.data(), text.size());
    if (IsMissing(text, settings_)) {
      stored = -1;
    } else {
      if (!CheckLevel(column, target, line, text)) return false;
      stored = static_cast<int32_t>(levels.texts.size());
      levels.texts.push_back(key);
    }
    levels.codes.emplace(key, stored);
    return true;
  }

  // Whether the column may have a further level, of this text; reports why not.
  bool CheckLevel(int64_t column, const CsvPassColumn& target, int64_t line,
                  std::string_view text) {
    const int64_t max_levels = settings_.limits->max_levels;
    const auto count =
        static_cast<int64_t>(result_.levels[static_cast<size_t>(column)].texts.size());
    if (FindInvalidUtf8(text)) {
      Report(line, column, absl::StrCat("the text ", QuoteValue(text), " is not UTF-8"));
      return false;
    }
    if (target.boolean && !ParseBooleanOrDigit(text)) {
      return Fail(column, target, line, text, "true or false, yes or no, t or f, y or n, 1 or 0");
    }
    if (count < max_levels) return true;
    Report(line, column,
           absl::StrCat("the column has more than ", max_levels,
                        " different texts; a categorical column must have at most that many"));
    return false;
  }

  // Remembers that the column holds a text of another kind. False when that is an error in the
  // file.
  bool Fail(int64_t column, const CsvPassColumn& target, int64_t line, std::string_view text,
            absl::string_view expected) {
    CsvFailure& failure = result_.failures[static_cast<size_t>(column)];
    if (failure.line == 0) failure = {line, std::string(text.substr(0, 200))};
    if (!target.strict) return true;
    Report(line, column, absl::StrCat("the value ", QuoteValue(text), " must be ", expected));
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
    Report(line, column, field.error);
    return false;
  }

  bool IsFieldEnd(const char* at) const {
    return at == end_ || *at == delimiter_ || *at == line_end_;
  }

  bool IsMissingNumber(double value) const {
    const std::vector<double>& missing = settings_.missing_numbers;
    return !missing.empty() && std::find(missing.begin(), missing.end(), value) != missing.end();
  }

  const char* at_;
  const char* const end_;
  const char* nul_;  // the first NUL byte; the end when there is none, or it was reported
  const char delimiter_;
  const char line_end_;
  const ShortNumberReader short_numbers_;
  const CsvPassSettings& settings_;
  const std::vector<CsvPassColumn>& columns_;
  int64_t line_ = 1;
  std::string scratch_;
  CsvPassResult result_;
};

}  // namespace

bool IsMissing(std::string_view text, const CsvPassSettings& settings) {
  const std::string_view trimmed = TrimBlanks(text);
  if (trimmed.empty()) return true;
  const std::vector<std::string>& missing = settings.missing_values;
  return std::find(missing.begin(), missing.end(), trimmed) != missing.end();
}

CsvPassResult RunCsvPass(std::string_view piece, const CsvPassSettings& settings,
                         const std::vector<CsvPassColumn>& columns) {
  return Pass(piece, settings, columns).Run();
}

}  // namespace trainyard
