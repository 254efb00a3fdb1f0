// Readers of the formats beside CSV.
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/data/table.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard {

// Whether the bytes begin like a NumPy file.
bool LooksLikeNpy(std::string_view bytes);

// A NumPy array (format 1.0 to 3.0) of one or two dimensions, of little-endian float16/32/64,
// integers or bool, in C or Fortran order. Columns are named `x0`, `x1`, …; NaN is missing,
// infinities are errors.
absl::StatusOr<std::shared_ptr<const Table>> ParseNpy(std::string_view bytes,
                                                      const v1::TableReadOptions& options,
                                                      const TableLimits& limits, int threads);

// Lines `label index:value …` with ascending indices from 1; `#` begins a comment. The label
// becomes the column `target`, index i the column `xi`; what is not given is 0.
absl::StatusOr<std::shared_ptr<const Table>> ParseLibsvm(std::string_view text,
                                                         const v1::TableReadOptions& options,
                                                         const TableLimits& limits, int threads);

// Whether the first line is a number followed by `index:value` pairs.
bool LooksLikeLibsvm(std::string_view text);

}  // namespace trainyard
