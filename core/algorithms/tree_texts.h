// The trees of a model in forms that people and other programs read.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "core/trees/ensemble.h"
#include "trainyard/v1/tree.pb.h"

namespace trainyard {

// How much is written: the first trees, as long as they are small enough to be looked at.
struct TreeTextLimits {
  int trees = 10;
  int nodes = 5000;  // of all of them together
};

// The first tree as indented text, cut as TreeToText does.
std::string FirstTreeText(const v1::TreeModel& model, const TreeEnsemble& ensemble,
                          size_t max_bytes);

// Writes `trees/tree-0.txt`, `.dot` and `.json`, `trees/tree-1.txt`, … in the model folder:
// indented text, Graphviz and JSON with N, m and h of every node (see core/trees/tree_printer.h).
// The names are those of `model`.
absl::Status WriteTreeTexts(const v1::TreeModel& model, const TreeEnsemble& ensemble,
                            const std::filesystem::path& folder, const TreeTextLimits& limits = {});

}  // namespace trainyard
