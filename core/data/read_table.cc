#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/data/csv_reader.h"
#include "core/data/file_bytes.h"
#include "core/data/file_formats.h"
#include "core/data/gzip.h"
#include "core/data/parse_errors.h"
#include "core/data/table.h"

namespace trainyard {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kDelimiters = ",;\t| ";

absl::Status CheckOptions(const v1::TableReadOptions& options) {
  if (options.delimiter().empty() ||
      kDelimiters.find(options.delimiter()) != std::string_view::npos) {
    return absl::OkStatus();
  }
  return InvalidFile("delimiter", absl::StrCat("is ", QuoteValue(options.delimiter()),
                                               "; must be one of , ; | tab and blank"));
}

absl::StatusOr<std::shared_ptr<const Table>> ParsePlain(std::string_view bytes,
                                                        const v1::TableReadOptions& options,
                                                        const TableLimits& limits, int threads) {
  using Format = v1::TableReadOptions;
  v1::TableReadOptions::Format format = options.format();
  if (format == Format::FORMAT_UNSPECIFIED) {
    if (LooksLikeNpy(bytes)) {
      format = Format::FORMAT_NPY;
    } else if (options.delimiter().empty() && !options.has_header() && LooksLikeLibsvm(bytes)) {
      format = Format::FORMAT_LIBSVM;
    } else {
      format = Format::FORMAT_CSV;
    }
  }
  if (format == Format::FORMAT_NPY) return ParseNpy(bytes, options, limits, threads);
  if (bytes.starts_with(kByteOrderMark)) bytes.remove_prefix(kByteOrderMark.size());
  if (format == Format::FORMAT_LIBSVM) return ParseLibsvm(bytes, options, limits, threads);
  return ParseCsv(bytes, options, limits, threads);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Table>> ParseTable(std::string_view bytes,
                                                        const v1::TableReadOptions& options,
                                                        const TableLimits& limits, int threads) {
  TY_RETURN_IF_ERROR(CheckOptions(options));
  if (!LooksLikeGzip(bytes)) return ParsePlain(bytes, options, limits, threads);
  TY_ASSIGN_OR_RETURN(const auto plain, Gunzip(bytes, limits.max_uncompressed_bytes));
  return ParsePlain(plain->bytes(), options, limits, threads);
}

absl::StatusOr<std::shared_ptr<const Table>> ReadTable(const std::filesystem::path& file,
                                                       const v1::TableReadOptions& options,
                                                       const TableLimits& limits, int threads) {
  TY_ASSIGN_OR_RETURN(const auto mapped, MappedFile::Open(file));
  return ParseTable(mapped->bytes(), options, limits, threads);
}

}  // namespace trainyard
