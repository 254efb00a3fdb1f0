// The tables of the catalogue and how they came to be.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/storage/sqlite.h"

namespace trainyard {

// `PRAGMA application_id` of a catalogue: "TYRD".
inline constexpr int64_t kCatalogueApplicationId = 0x54595244;

// Version of the schema that this build reads and writes; `PRAGMA user_version` of the file.
int NewestSchemaVersion();

// The version of the schema in the file, 0 for an empty file. FAILED_PRECONDITION when it is newer
// than this build; DATA_LOSS when the file is a database of another kind. Changes nothing.
absl::StatusOr<int> ReadSchemaVersion(Database& database);

// Brings the schema to `version` by running the migrations that are missing, each in a transaction
// of its own. An empty file becomes a catalogue. Errors as ReadSchemaVersion.
absl::Status MigrateSchema(Database& database, int version = NewestSchemaVersion());

// Rows of a job's event segments have the key `job << kSequenceBits | first sequence`, so that they
// lie together and in order in one tree.
inline constexpr int kSequenceBits = 35;
inline constexpr int64_t kMaxSequence = (int64_t{1} << kSequenceBits) - 1;
inline constexpr int64_t kMaxJobRow = (int64_t{1} << (63 - kSequenceBits)) - 1;

}  // namespace trainyard
