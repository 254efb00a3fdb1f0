// The files of a tree model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/trees/ensemble.h"
#include "trainyard/v1/tree.pb.h"

namespace trainyard {

// Name of the first file, a v1::TreeModel with all that describes the model and its first trees.
// Further trees stand in messages of trees only, in `tree-1.pb`, `tree-2.pb`, …
inline constexpr char kTreeModelFile[] = "tree.pb";

// A model read from its files: `model` without the trees, which are in `ensemble`.
struct StoredTrees {
  v1::TreeModel model;
  TreeEnsemble ensemble;
};

// One tree of a model: `model` and `ensemble` without any.
struct StoredTree {
  v1::TreeModel model;
  TreeEnsemble ensemble;
  Tree tree;
};

// Writes the files: `model`, which has no trees, and the ensemble. A new file begins after
// `part_bytes` of trees, so that no message comes near the 2 GiB that protobuf allows.
// FAILED_PRECONDITION when a single tree needs more than that; else the file system's status, or
// that of `check`, which is asked after each tree and may be empty.
absl::Status WriteTreeModel(const v1::TreeModel& model, const TreeEnsemble& ensemble,
                            const std::filesystem::path& folder,
                            const std::function<absl::Status()>& check,
                            size_t part_bytes = size_t{256} << 20);

// Reads the files; `path_of` gives the path of a file by its name, or NOT_FOUND. DATA_LOSS when a
// file is missing or damaged, or the trees are not valid (see EnsembleFromModel).
absl::StatusOr<StoredTrees> ReadTreeModel(
    const std::function<absl::StatusOr<std::filesystem::path>(const std::string& name)>& path_of);

// Reads one tree, counted from 0, past the others, which are not checked. Errors as of
// ReadTreeModel; OUT_OF_RANGE when the model has fewer trees.
absl::StatusOr<StoredTree> ReadStoredTree(
    const std::function<absl::StatusOr<std::filesystem::path>(const std::string& name)>& path_of,
    int64_t number);

// All from a folder.
absl::StatusOr<StoredTrees> ReadTreeModel(const std::filesystem::path& folder);

}  // namespace trainyard
