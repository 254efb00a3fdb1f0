#include "client/cli/transfer_line.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/errors.h"
#include "client/cli/spec_values.h"
#include "client/cli/text.h"
#include "client/cpp/status_macros.h"

namespace trainyard::cli {

TransferLine::TransferLine(const Context& context, std::string what)
    : terminal_(context.err),
      shown_(context.err.interactive && !context.options.json && !context.options.quiet),
      what_(std::move(what)),
      start_(absl::Now()) {}

ProgressCallback TransferLine::Callback() {
  if (!shown_) return {};
  return [this](int64_t done, int64_t total) { Show(done, total); };
}

void TransferLine::Show(int64_t done, int64_t total) {
  const absl::Time now = absl::Now();
  if (now - last_ < absl::Milliseconds(100)) return;
  last_ = now;
  const std::string text = Fit(
      TransferText(what_, done, total, absl::ToDoubleSeconds(now - start_)), terminal_.width - 1);
  std::fprintf(stderr, "\r\x1b[K%s", text.c_str());
  std::fflush(stderr);
}

void TransferLine::Clear() {
  if (!shown_ || last_ == absl::InfinitePast()) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
}

std::string TransferText(const std::string& what, int64_t done, int64_t total, double seconds) {
  std::string text = absl::StrCat(what, "  ", HumanBytes(done));
  if (total > 0) {
    absl::StrAppend(&text, " of ", HumanBytes(total));
    absl::StrAppendFormat(&text, "  %d%%", done * 100 / total);
  }
  if (seconds > 0 && done > 0) {
    const double rate = static_cast<double>(done) / seconds;
    absl::StrAppend(&text, "  ", HumanBytes(static_cast<int64_t>(rate)), "/s");
    if (total > done) {
      absl::StrAppend(&text, "  ", HumanDuration(static_cast<double>(total - done) / rate),
                      " left");
    }
  }
  return text;
}

void TableReadFlags::AddTo(CLI::App& command) {
  command.add_option("--format", format, "File format: csv, libsvm, npy. Default: detected")
      ->type_name("FORMAT");
  command
      .add_option("--delimiter", delimiter,
                  "Character between fields; `tab` and `space` are known. Default: detected")
      ->type_name("CHARACTER");
  header = command.add_flag("--header")
               ->description("The first line holds column names. Default: detected");
  no_header = command.add_flag("--no-header")->description("The first line holds values");
  header->excludes(no_header);
  command
      .add_option("--column-type", column_types,
                  "Type of a column: numeric, categorical, boolean, date. May be repeated")
      ->allow_extra_args(false)
      ->type_name("NAME=TYPE");
  command.add_option("--missing", missing, "Text that means \"missing\". May be repeated")
      ->allow_extra_args(false)
      ->type_name("TEXT");
}

absl::Status TableReadFlags::Apply(v1::TableReadOptions& table) const {
  if (!format.empty()) {
    CLIENT_RETURN_IF_ERROR(AsUsageError(SetField(table, "format", format), "--format"));
  }
  const bool tab = delimiter == "tab" || delimiter == "\\t";
  table.set_delimiter(tab ? "\t" : delimiter == "space" ? " " : delimiter);
  if (table.delimiter().size() > 1) {
    return UsageError(
        absl::StrCat("--delimiter: \"", Printable(delimiter), "\" is more than one character"));
  }
  if (header->count() > 0) table.set_header(true);
  if (no_header->count() > 0) table.set_header(false);
  for (const std::string& text : column_types) {
    // The last `=`: a column's name may hold one, a type's does not.
    const size_t equals = text.rfind('=');
    const auto type = ParseEnum(*v1::ColumnType_descriptor(),
                                equals == std::string::npos ? "" : text.substr(equals + 1));
    if (equals == std::string::npos || !type.ok()) {
      return UsageError(absl::StrCat("--column-type: \"", Printable(text), "\" is not NAME=TYPE",
                                     type.ok() ? "" : absl::StrCat(": ", type.status().message())));
    }
    (*table.mutable_column_types())[ValidUtf8(text.substr(0, equals))] =
        static_cast<v1::ColumnType>(*type);
  }
  for (const std::string& text : missing) table.add_missing_values(ValidUtf8(text));
  return absl::OkStatus();
}

}  // namespace trainyard::cli
