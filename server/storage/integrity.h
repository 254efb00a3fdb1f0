// Whether the catalogue is sound.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/storage/sqlite.h"

namespace trainyard {

// A check that is quick enough for every start: DATA_LOSS when the pages that hold the schema, the
// data sets, the models and the attempts are damaged.
absl::Status QuickCheck(Database& database);

// Everything that is wrong: SQLite's integrity check, foreign keys, gaps in the events of a job,
// stored messages that cannot be read. Reads the whole file.
absl::StatusOr<std::vector<std::string>> FindIntegrityProblems(Database& database);

}  // namespace trainyard
