#include "core/trees/tree_proto.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace trainyard {
namespace {

absl::Status Damaged(int node, absl::string_view what) {
  return absl::DataLossError(absl::StrCat("node ", node, " of a tree ", what));
}

template <typename Repeated, typename T>
void CopyTo(const Repeated& from, std::vector<T>& to) {
  to.assign(from.begin(), from.end());
}

// Unknown links are refused by EnsembleWithoutTrees.
Link LinkOf(const v1::TreeModel& model) {
  switch (model.link()) {
    case v1::TreeModel::LINK_LOGISTIC:
      return Link::kLogistic;
    case v1::TreeModel::LINK_SOFTMAX:
      return Link::kSoftmax;
    case v1::TreeModel::LINK_EXP:
      return Link::kExp;
    case v1::TreeModel::LINK_CLIP:
      return Link::kClip;
    default:
      return Link::kIdentity;
  }
}

v1::TreeModel::Link LinkToProto(Link link) {
  switch (link) {
    case Link::kIdentity:
      return v1::TreeModel::LINK_IDENTITY;
    case Link::kLogistic:
      return v1::TreeModel::LINK_LOGISTIC;
    case Link::kSoftmax:
      return v1::TreeModel::LINK_SOFTMAX;
    case Link::kExp:
      return v1::TreeModel::LINK_EXP;
    case Link::kClip:
      return v1::TreeModel::LINK_CLIP;
  }
  return v1::TreeModel::LINK_UNSPECIFIED;
}

absl::Status CheckKinds(const v1::TreeModel& model) {
  const bool probabilities = model.output() == v1::TreeModel::OUTPUT_PROBABILITIES;
  if (!probabilities && model.output() != v1::TreeModel::OUTPUT_VALUES) {
    return absl::DataLossError(absl::StrCat("a tree model has the output kind ", model.output()));
  }
  if (model.combination() != v1::TreeModel::COMBINATION_MEAN &&
      model.combination() != v1::TreeModel::COMBINATION_SUM) {
    return absl::DataLossError(
        absl::StrCat("a tree model has the combination ", model.combination()));
  }
  if (!v1::TreeModel::Link_IsValid(model.link())) {
    return absl::DataLossError(absl::StrCat("a tree model has the link ", model.link()));
  }
  const Link link = LinkOf(model);
  const bool fits = link == Link::kIdentity || probabilities == (link != Link::kExp);
  const bool two = link != Link::kLogistic || model.classes_size() == 2;
  if (!fits || !two) {
    return absl::DataLossError(
        absl::StrCat("a tree model with ", model.classes_size(), " classes and the output kind ",
                     model.output(), " has the link ", model.link(), ", which does not fit"));
  }
  if (link == Link::kIdentity && probabilities &&
      (model.combination() == v1::TreeModel::COMBINATION_SUM || model.base_size() != 0 ||
       model.tree_output_size() != 0)) {
    return absl::DataLossError("a tree model adds up class shares");
  }
  return absl::OkStatus();
}

absl::Status CheckLists(const v1::TreeModel& model, int64_t tree_count) {
  const int scores = RawScoreCount(model);
  if (scores < 1) return absl::DataLossError("a tree model has no outputs");
  if (model.base_size() != 0 && model.base_size() != scores) {
    return absl::DataLossError(absl::StrCat("a tree model with ", scores, " raw scores has ",
                                            model.base_size(), " base values"));
  }
  for (const double base : model.base()) {
    if (!std::isfinite(base)) return absl::DataLossError("a tree model's base is not finite");
  }
  if (model.tree_output_size() != 0 && model.tree_output_size() != tree_count) {
    return absl::DataLossError(absl::StrCat("a tree model with ", tree_count, " trees has ",
                                            model.tree_output_size(), " tree outputs"));
  }
  for (const int32_t output : model.tree_output()) {
    if (output >= 0 && output < scores) continue;
    return absl::DataLossError(
        absl::StrCat("a tree adds to the raw score ", output, " of ", scores));
  }
  if (model.tree_lambda_size() != 0 && model.tree_lambda_size() != tree_count) {
    return absl::DataLossError(absl::StrCat("a tree model with ", tree_count, " trees has ",
                                            model.tree_lambda_size(), " strengths of shrinkage"));
  }
  return absl::OkStatus();
}

// Empty, or one finite cost >= 0 per pair of classes, 0 for the right one.
absl::Status CheckCosts(const v1::TreeModel& model) {
  const int costs = model.costs_size();
  if (costs == 0) return absl::OkStatus();
  const int64_t classes =
      model.output() == v1::TreeModel::OUTPUT_PROBABILITIES ? model.classes_size() : 0;
  if (classes == 0 || costs != classes * classes) {
    return absl::DataLossError(
        absl::StrCat("a tree model with ", classes, " classes has ", costs, " costs"));
  }
  for (int i = 0; i < costs; ++i) {
    const double cost = model.costs(i);
    const bool right = i / classes == i % classes;
    if (std::isfinite(cost) && (right ? cost == 0 : cost >= 0)) continue;
    return absl::DataLossError(absl::StrCat("a tree model has the cost ", cost, " for class ",
                                            i % classes, " where ", i / classes, " is true"));
  }
  return absl::OkStatus();
}

absl::Status CheckLengths(const v1::DecisionTree& message, int outputs) {
  const int64_t nodes = message.feature_size();
  if (nodes == 0) return absl::DataLossError("a tree has no nodes");
  const auto differs = [nodes](int64_t size) { return size != nodes; };
  if (differs(message.threshold_size()) || differs(message.left_size()) ||
      differs(message.right_size()) || differs(message.missing_left_size()) ||
      differs(message.weight_size()) || differs(message.row_count_size()) ||
      differs(message.impurity_size())) {
    return absl::DataLossError(
        absl::StrCat("the arrays of a tree with ", nodes, " nodes differ in length"));
  }
  if (message.mean_size() != nodes * outputs || message.value_size() != nodes * outputs) {
    return absl::DataLossError(absl::StrCat("a tree of ", nodes, " nodes and ", outputs,
                                            " outputs has ", message.mean_size(), " means and ",
                                            message.value_size(), " values"));
  }
  if (message.level_begin_size() != 0 && message.level_begin_size() != nodes + 1) {
    return absl::DataLossError(absl::StrCat("a tree of ", nodes, " nodes has ",
                                            message.level_begin_size(), " level ranges"));
  }
  if (message.level_begin_size() == 0 && message.left_levels_size() != 0) {
    return absl::DataLossError("a tree has levels but no level ranges");
  }
  return absl::OkStatus();
}

absl::Status CheckLevelRanges(const v1::DecisionTree& message) {
  if (message.level_begin_size() == 0) return absl::OkStatus();
  int32_t previous = 0;
  if (message.level_begin(0) != 0) return Damaged(0, "has a level range that does not begin at 0");
  for (int i = 1; i < message.level_begin_size(); ++i) {
    if (message.level_begin(i) < previous || message.level_begin(i) > message.left_levels_size()) {
      return Damaged(i - 1, "has a level range outside the levels");
    }
    previous = message.level_begin(i);
  }
  if (previous != message.left_levels_size()) {
    return absl::DataLossError("a tree has levels that belong to no node");
  }
  return absl::OkStatus();
}

// Parents precede children and every node but the root has one parent: hence no cycle, and all
// nodes are reached.
absl::Status CheckShape(const v1::DecisionTree& message) {
  const int nodes = message.feature_size();
  std::vector<uint8_t> has_parent(static_cast<size_t>(nodes), 0);
  for (int t = 0; t < nodes; ++t) {
    const int32_t children[] = {message.left(t), message.right(t)};
    if (children[0] == -1 && children[1] == -1) continue;
    for (const int32_t child : children) {
      if (child <= t || child >= nodes) {
        return Damaged(t, absl::StrCat("has the child ", child, ", which does not come after it"));
      }
      if (has_parent[static_cast<size_t>(child)]++ != 0) {
        return Damaged(child, "has two parents");
      }
    }
  }
  for (int t = 1; t < nodes; ++t) {
    if (!has_parent[static_cast<size_t>(t)]) return Damaged(t, "has no parent");
  }
  return absl::OkStatus();
}

absl::Status CheckSplit(const Tree& tree, int t, const v1::TreeModel& model) {
  const size_t i = static_cast<size_t>(t);
  const std::span<const int32_t> levels = tree.LeftLevels(t);
  if (tree.is_leaf(t)) {
    if (tree.feature[i] != -1 || !levels.empty()) return Damaged(t, "is a leaf that splits");
    return absl::OkStatus();
  }
  const int32_t feature = tree.feature[i];
  if (feature < 0 || feature >= model.features_size()) {
    return Damaged(t, absl::StrCat("splits on feature ", feature, " of ", model.features_size()));
  }
  const v1::ColumnSchema& column = model.features(feature);
  if (std::isnan(tree.threshold[i])) return Damaged(t, "has the threshold NaN");
  if ((column.type() == v1::COLUMN_TYPE_CATEGORICAL) == levels.empty()) {
    return Damaged(t, "splits in a way that does not fit its feature's type");
  }
  for (size_t k = 0; k < levels.size(); ++k) {
    if (levels[k] < 0 || levels[k] >= column.levels_size() ||
        (k > 0 && levels[k] <= levels[k - 1])) {
      return Damaged(t, absl::StrCat("has the level ", levels[k], " out of range or order"));
    }
  }
  return absl::OkStatus();
}

// Whether every value of a tree is itself a class share.
bool HoldsShares(const v1::TreeModel& model) {
  return model.output() == v1::TreeModel::OUTPUT_PROBABILITIES && LinkOf(model) == Link::kIdentity;
}

absl::Status CheckNumbers(const Tree& tree, int t, const v1::TreeModel& model) {
  const size_t i = static_cast<size_t>(t);
  if (!(tree.weight[i] > 0) || !std::isfinite(tree.weight[i]) || tree.row_count[i] < 0) {
    return Damaged(t, "has a weight or row count that is not positive");
  }
  if (std::isnan(tree.impurity[i])) return Damaged(t, "has the impurity NaN");
  const bool probabilities = HoldsShares(model);
  for (const std::span<const double> values : {tree.MeanOf(t), tree.ValueOf(t)}) {
    for (const double value : values) {
      if (!std::isfinite(value)) return Damaged(t, "has a value that is not finite");
      if (probabilities && (value < 0 || value > 1 + 1e-9)) {
        return Damaged(t, absl::StrCat("has the probability ", value));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

int PredictionCountOf(const v1::TreeModel& model) {
  return model.output() == v1::TreeModel::OUTPUT_PROBABILITIES ? model.classes_size()
                                                               : model.targets_size();
}

int RawScoreCount(const v1::TreeModel& model) {
  return model.link() == v1::TreeModel::LINK_LOGISTIC ? 1 : PredictionCountOf(model);
}

int ValuesPerNode(const v1::TreeModel& model) {
  return model.tree_output_size() > 0 ? 1 : RawScoreCount(model);
}

v1::DecisionTree TreeToProto(const Tree& tree) {
  v1::DecisionTree message;
  const auto add = [](const auto& from, auto* to) { to->Add(from.begin(), from.end()); };
  add(tree.feature, message.mutable_feature());
  add(tree.threshold, message.mutable_threshold());
  add(tree.left, message.mutable_left());
  add(tree.right, message.mutable_right());
  add(tree.missing_left, message.mutable_missing_left());
  add(tree.level_begin, message.mutable_level_begin());
  add(tree.left_levels, message.mutable_left_levels());
  add(tree.weight, message.mutable_weight());
  add(tree.row_count, message.mutable_row_count());
  add(tree.impurity, message.mutable_impurity());
  add(tree.mean, message.mutable_mean());
  add(tree.value, message.mutable_value());
  return message;
}

absl::StatusOr<Tree> TreeFromProto(const v1::DecisionTree& message, const v1::TreeModel& model) {
  const int outputs = ValuesPerNode(model);
  if (outputs < 1) return absl::DataLossError("a tree model has no outputs");
  TY_RETURN_IF_ERROR(CheckLengths(message, outputs));
  TY_RETURN_IF_ERROR(CheckLevelRanges(message));
  TY_RETURN_IF_ERROR(CheckShape(message));
  Tree tree;
  tree.outputs = outputs;
  CopyTo(message.feature(), tree.feature);
  CopyTo(message.threshold(), tree.threshold);
  CopyTo(message.left(), tree.left);
  CopyTo(message.right(), tree.right);
  CopyTo(message.missing_left(), tree.missing_left);
  CopyTo(message.level_begin(), tree.level_begin);
  CopyTo(message.left_levels(), tree.left_levels);
  CopyTo(message.weight(), tree.weight);
  CopyTo(message.row_count(), tree.row_count);
  CopyTo(message.impurity(), tree.impurity);
  CopyTo(message.mean(), tree.mean);
  CopyTo(message.value(), tree.value);
  for (int t = 0; t < tree.node_count(); ++t) {
    TY_RETURN_IF_ERROR(CheckSplit(tree, t, model));
    TY_RETURN_IF_ERROR(CheckNumbers(tree, t, model));
  }
  return tree;
}

void DescribeEnsemble(const TreeEnsemble& ensemble, v1::TreeModel& model) {
  model.set_combination(ensemble.combination == TreeCombination::kSum
                            ? v1::TreeModel::COMBINATION_SUM
                            : v1::TreeModel::COMBINATION_MEAN);
  model.set_link(LinkToProto(ensemble.link));
  model.mutable_base()->Assign(ensemble.base.begin(), ensemble.base.end());
  model.mutable_tree_output()->Assign(ensemble.tree_output.begin(), ensemble.tree_output.end());
}

void EnsembleToProto(const TreeEnsemble& ensemble, v1::TreeModel& model) {
  DescribeEnsemble(ensemble, model);
  for (const Tree& tree : ensemble.trees) *model.add_trees() = TreeToProto(tree);
}

absl::StatusOr<TreeEnsemble> EnsembleWithoutTrees(const v1::TreeModel& model, int64_t tree_count) {
  TY_RETURN_IF_ERROR(CheckKinds(model));
  TY_RETURN_IF_ERROR(CheckLists(model, tree_count));
  TY_RETURN_IF_ERROR(CheckCosts(model));
  TreeEnsemble ensemble;
  ensemble.combination = model.combination() == v1::TreeModel::COMBINATION_SUM
                             ? TreeCombination::kSum
                             : TreeCombination::kMean;
  ensemble.outputs = RawScoreCount(model);
  ensemble.link = LinkOf(model);
  CopyTo(model.base(), ensemble.base);
  CopyTo(model.tree_output(), ensemble.tree_output);
  return ensemble;
}

absl::StatusOr<TreeEnsemble> EnsembleFromModel(const v1::TreeModel& model) {
  TY_ASSIGN_OR_RETURN(TreeEnsemble ensemble, EnsembleWithoutTrees(model, model.trees_size()));
  if (model.trees_size() == 0) return absl::DataLossError("a tree model has no trees");
  ensemble.trees.reserve(static_cast<size_t>(model.trees_size()));
  for (int i = 0; i < model.trees_size(); ++i) {
    absl::StatusOr<Tree> tree = TreeFromProto(model.trees(i), model);
    if (!tree.ok()) return AddContext(tree.status(), absl::StrCat("tree ", i));
    ensemble.trees.push_back(*std::move(tree));
  }
  return ensemble;
}

absl::StatusOr<v1::TreeModel> ParseTreeModel(std::string_view bytes) {
  v1::TreeModel model;
  constexpr size_t kLargestMessage = size_t{1} << 31;
  if (bytes.size() >= kLargestMessage ||
      !model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError(
        absl::StrCat(bytes.size(), " bytes of a model file are not a tree model"));
  }
  return model;
}

}  // namespace trainyard
