// Compares what the catalogue says with what lies on the disk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/storage/blob_store.h"
#include "server/storage/catalogue.h"

namespace trainyard {

// What CheckStore found.
struct StoreCheck {
  // Each names what is wrong and the resource or file it is wrong with. Empty when the store is
  // sound.
  std::vector<std::string> problems;
  // Blobs that nothing refers to: no problem, CollectGarbage removes them.
  std::vector<BlobInfo> orphans;
  int64_t blobs_checked = 0;
  int64_t bytes_checked = 0;
};

// Checks the database's integrity, that the events of every job are without gaps, and that every
// blob that something refers to is there with the right size and hash. Reads every byte stored. An
// error means that the check itself could not run.
absl::StatusOr<StoreCheck> CheckStore(Catalogue& catalogue, BlobStore& blobs);

// Removes the blobs that nothing refers to and nobody holds. Returns their number. May run at any
// time.
absl::StatusOr<int64_t> CollectGarbage(Catalogue& catalogue, BlobStore& blobs);

}  // namespace trainyard
