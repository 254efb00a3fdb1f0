// Which columns of a table a job uses, and for what.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/table.h"
#include "proto/schema/violations.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard {

// Column numbers in a table.
struct TableColumns {
  std::vector<int> targets;
  std::vector<int> features;
  std::optional<int> weight;
  std::optional<int> group;
  std::optional<int> time;
};

// Largest number of columns that ResolveTableInput writes out in `feature_columns`; with more, the
// field stays empty and goes on meaning all columns without another use.
inline constexpr int kMaxListedFeatures = 1000;

// Fills in `target_columns` and `feature_columns` (clearing `ignored_columns` then) and adds a
// violation, its path beginning with `path`, for everything that does not fit the schema: unknown
// or repeated columns, a column with two uses, no feature left, a target without values or with one
// value only, a weight column that is not numeric, has missing or negative values or is all zero,
// and group and time columns that the split method lacks. Calling it again changes nothing. Returns
// the columns found, which are complete when no violation was added.
TableColumns ResolveTableInput(const v1::TableSchema& schema, std::string_view path,
                               v1::TableInput& input, Violations& violations);

}  // namespace trainyard
