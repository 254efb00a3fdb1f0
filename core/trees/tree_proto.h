// Trees to and from the messages they are stored in (trainyard/v1/tree.proto).
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/trees/ensemble.h"
#include "core/trees/tree.h"
#include "trainyard/v1/tree.pb.h"

namespace trainyard {

// Predictions per row of a model: its classes for probabilities, else its targets.
int PredictionCountOf(const v1::TreeModel& model);

// Raw scores per row: 1 for LINK_LOGISTIC, else PredictionCountOf.
int RawScoreCount(const v1::TreeModel& model);

// Values per node of its trees: 1 where each tree adds to one raw score, else RawScoreCount.
int ValuesPerNode(const v1::TreeModel& model);

v1::DecisionTree TreeToProto(const Tree& tree);

// One tree of `model`, checked in full, so that every later walk ends and stays inside the arrays.
// DATA_LOSS that names the node and the rule when array lengths differ, a child does not come after
// its parent or has not exactly one parent, a feature or level is out of range, a categorical split
// names no level, a threshold is NaN, a weight is not positive, or a value is not finite (a mean of
// class shares: not in [0, 1]). Linear in the size of the message.
absl::StatusOr<Tree> TreeFromProto(const v1::DecisionTree& message, const v1::TreeModel& model);

// Combination, link, base and tree outputs, without the trees.
void DescribeEnsemble(const TreeEnsemble& ensemble, v1::TreeModel& model);
// The same with the trees, which are added.
void EnsembleToProto(const TreeEnsemble& ensemble, v1::TreeModel& model);

// What `model` says of its trees together: everything but the trees. DATA_LOSS when it has no
// output, an unknown kind of output, combination or link, a link that does not fit the output, a
// base value that is not finite, a cost that is negative or of the right class, or lists of a wrong
// length. `tree_count` is the number of trees
// that belong to the model.
absl::StatusOr<TreeEnsemble> EnsembleWithoutTrees(const v1::TreeModel& model, int64_t tree_count);

// All of a model, checked as above. DATA_LOSS also when it has no tree.
absl::StatusOr<TreeEnsemble> EnsembleFromModel(const v1::TreeModel& model);

// Parses the bytes of a model file; DATA_LOSS when they are no TreeModel. Trees are not checked.
absl::StatusOr<v1::TreeModel> ParseTreeModel(std::string_view bytes);

}  // namespace trainyard
