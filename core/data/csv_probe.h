// What the first rows of a CSV file say about its columns.
#pragma once

#include <string_view>
#include <vector>

#include "core/data/csv_pass.h"

namespace trainyard {

// Changes `roles` of columns that the first records of `body` prove to be no numbers, so that a
// pass over the whole file can be spared: to kDate or kLevels, as the passes would find. Columns
// whose `fixed` is set stay as they are. Stops at a record that cannot be read.
void ProbeRoles(std::string_view body, const CsvPassSettings& settings,
                const std::vector<bool>& fixed, std::vector<CsvRole>& roles);

}  // namespace trainyard
