// Trees to and from the messages they are stored in (trainyard/v1/tree.proto).
#pragma once

#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/trees/tree.h"
#include "trainyard/v1/tree.pb.h"

namespace trainyard {

// Number of values per node of a model: its classes for probabilities, else its targets.
int OutputCount(const v1::TreeModel& model);

v1::DecisionTree TreeToProto(const Tree& tree);

// One tree of `model`, checked in full, so that every later walk ends and stays inside the arrays.
// DATA_LOSS that names the node and the rule when array lengths differ, a child does not come after
// its parent or has not exactly one parent, a feature or level is out of range, a categorical split
// names no level, a threshold is NaN, a weight is not positive, or a value is not finite (a
// probability: not in [0, 1]). Linear in the size of the message.
absl::StatusOr<Tree> TreeFromProto(const v1::DecisionTree& message, const v1::TreeModel& model);

// All trees of a model, each checked as above. DATA_LOSS also when the model has no tree, no output
// or an unknown kind of output or combination.
absl::StatusOr<std::vector<Tree>> TreesFromModel(const v1::TreeModel& model);

// Parses the bytes of a model file; DATA_LOSS when they are no TreeModel. Trees are not checked.
absl::StatusOr<v1::TreeModel> ParseTreeModel(std::string_view bytes);

}  // namespace trainyard
