#include "server/storage/check.h"

#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace trainyard {
namespace {

std::optional<std::string> ProblemOf(const Catalogue::BlobReference& reference,
                                     const absl::flat_hash_map<std::string, int64_t>& sizes,
                                     const BlobStore& blobs, absl::Status& failed) {
  const auto found = sizes.find(reference.sha256);
  if (found == sizes.end()) {
    return absl::StrCat(reference.referrer, ": its blob ", reference.sha256, " is missing");
  }
  if (found->second != reference.size_bytes) {
    return absl::StrCat(reference.referrer, ": its blob ", reference.sha256, " has ", found->second,
                        " bytes instead of ", reference.size_bytes);
  }
  const absl::Status verified = blobs.Verify(reference.sha256);
  if (absl::IsDataLoss(verified) || absl::IsNotFound(verified)) {
    return absl::StrCat(reference.referrer, ": ", verified.message());
  }
  failed = verified;
  return std::nullopt;
}

}  // namespace

absl::StatusOr<StoreCheck> CheckStore(Catalogue& catalogue, BlobStore& blobs) {
  StoreCheck check;
  TY_ASSIGN_OR_RETURN(check.problems, catalogue.IntegrityProblems());
  absl::StatusOr<std::vector<Catalogue::BlobReference>> references = catalogue.BlobReferences();
  if (absl::IsDataLoss(references.status())) {
    check.problems.push_back(
        absl::StrCat("the blobs in use cannot be told: ", references.status().message()));
    return check;
  }
  TY_RETURN_IF_ERROR(references.status());
  // Listed after the references: what they name was there before them.
  TY_ASSIGN_OR_RETURN(std::vector<BlobInfo> present, blobs.List());
  absl::flat_hash_map<std::string, int64_t> sizes;
  for (const BlobInfo& blob : present) sizes[blob.sha256] = blob.size_bytes;

  absl::flat_hash_set<std::string> referenced;
  for (const Catalogue::BlobReference& reference : *references) {
    referenced.insert(reference.sha256);
    absl::Status failed;
    std::optional<std::string> problem = ProblemOf(reference, sizes, blobs, failed);
    TY_RETURN_IF_ERROR(failed);
    if (problem.has_value()) check.problems.push_back(*std::move(problem));
    ++check.blobs_checked;
    check.bytes_checked += reference.size_bytes;
  }
  for (BlobInfo& blob : present) {
    if (!referenced.contains(blob.sha256)) check.orphans.push_back(std::move(blob));
  }
  return check;
}

absl::StatusOr<int64_t> CollectGarbage(Catalogue& catalogue, BlobStore& blobs) {
  // The references are read when the store asks first: see BlobStore::Collect.
  std::optional<absl::flat_hash_set<std::string>> referenced;
  absl::Status status;
  const auto is_referenced = [&](std::string_view sha256) {
    if (!referenced.has_value()) {
      referenced.emplace();
      absl::StatusOr<std::vector<Catalogue::BlobReference>> all = catalogue.BlobReferences();
      status = all.status();
      if (all.ok()) {
        for (Catalogue::BlobReference& reference : *all) {
          referenced->insert(std::move(reference.sha256));
        }
      }
    }
    return !status.ok() || referenced->contains(std::string(sha256));
  };
  absl::StatusOr<int64_t> removed = blobs.Collect(is_referenced);
  TY_RETURN_IF_ERROR(status);
  return removed;
}

}  // namespace trainyard
