// CSV files to tables.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/data/table.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard {

// Parses CSV text (RFC 4180; a byte order mark, LF, CRLF or CR line ends, blank lines skipped) on
// `threads` threads. The text is cut at record boundaries into pieces of at least
// `min_piece_bytes`, so that the result does not depend on the number of threads. A column is
// numeric when all its values are numbers, else a date when all are dates, else boolean when all
// are words of one pair, else categorical.
absl::StatusOr<std::shared_ptr<const Table>> ParseCsv(std::string_view text,
                                                      const v1::TableReadOptions& options,
                                                      const TableLimits& limits, int threads,
                                                      int64_t min_piece_bytes = int64_t{1} << 20);

}  // namespace trainyard
