// Trees of a stored model in forms that people and other programs read.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/trees/ensemble.h"
#include "core/trees/tree_model_files.h"
#include "trainyard/v1/model_service.pb.h"
#include "trainyard/v1/tree.pb.h"

namespace trainyard {

// Names of the values of tree `tree`: classes or targets.
std::vector<std::string> TreeOutputNames(const v1::TreeModel& model, const TreeEnsemble& ensemble,
                                         size_t tree);

// Tree `number` as core/trees/tree_printer.h writes it, at most `max_bytes` long: text is cut;
// FAILED_PRECONDITION, reason TREE_TOO_LARGE, for other formats.
absl::StatusOr<std::string> PrintTree(const StoredTree& stored, size_t number,
                                      v1::PrintTreeRequest::Format format, size_t max_bytes);

}  // namespace trainyard
