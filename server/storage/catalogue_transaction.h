// The writes of a unit of work on SQLite.
#pragma once

#include <memory>

#include "server/storage/catalogue.h"
#include "server/storage/sqlite.h"

namespace trainyard {

// `database` must be inside a transaction whenever a method is called, and outlives the result.
std::unique_ptr<CatalogueTransaction> MakeTransaction(Database& database);

}  // namespace trainyard
