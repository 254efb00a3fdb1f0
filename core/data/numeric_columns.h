// Columns of formats that hold numbers only.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "core/data/column_data.h"
#include "core/data/table.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard {

// Gives columns of numbers the types that `options.column_types` name: boolean where all values are
// 0 or 1, categorical with the numbers' texts as levels. INVALID_ARGUMENT for unknown columns, for
// values that do not fit, and for dates.
absl::Status ApplyColumnTypes(const v1::TableReadOptions& options, const TableLimits& limits,
                              std::vector<ColumnData>& columns);

}  // namespace trainyard
