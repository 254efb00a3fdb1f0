// Division of a table's rows into training, validation and test sets, and into folds.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/interruptible.h"
#include "core/data/table.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard {

// Row indices, ascending within each set. The sets are disjoint and cover all rows given.
struct RowSplit {
  std::vector<int64_t> train;
  std::vector<int64_t> validation;
  std::vector<int64_t> test;
};

// Divides `rows` of `table` as `options` say (defaults filled in, method resolved). `strata`, one
// per table row, is used by METHOD_STRATIFIED only; rows of stratum -1 are divided at random. Sets
// hold round(fraction * rows) rows, of each stratum its share rounded down or up; of whole groups
// as near as possible. INVALID_ARGUMENT when a column is absent or a set that was asked for would
// be empty; the answer of `check`, asked about every million rows, where that is not OK.
absl::StatusOr<RowSplit> SplitRows(const Table& table, const std::vector<int64_t>& rows,
                                   const v1::SplitOptions& options,
                                   const std::vector<int32_t>& strata, const GoOnCheck& check = {});

// Fold number, 0 to folds - 1, of each of `rows` rows: shuffled by `seed`, the sizes within each
// stratum and over all differing by at most one row (`strata` may be empty). Rows of equal `groups`
// stay together (`groups` may be empty), the largest groups placed first, each into the smallest
// fold. Both have one entry per row. Fails only where `check`, asked about every million rows,
// does.
absl::StatusOr<std::vector<int32_t>> AssignFolds(size_t rows, const std::vector<int32_t>& strata,
                                                 const std::vector<int64_t>& groups, int folds,
                                                 uint64_t seed, const GoOnCheck& check = {});

}  // namespace trainyard
