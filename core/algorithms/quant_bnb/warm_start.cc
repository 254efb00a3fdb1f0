#include "core/algorithms/quant_bnb/warm_start.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/algorithms/input_tree_model.h"
#include "core/base/status.h"
#include "core/trees/subtree.h"

namespace trainyard {
namespace {

absl::Status Unfit(const v1::QuantBnbSpec& spec, const std::string& what) {
  return UnfitModel("warm_start", spec.warm_start(), what);
}

// Number of the job's feature for a column of the model.
absl::StatusOr<int32_t> FindFeature(const v1::QuantBnbSpec& spec, const LearningTable& data,
                                    const v1::ColumnSchema& learned) {
  const std::vector<int>& features = data.columns.features;
  for (size_t f = 0; f < features.size(); ++f) {
    const v1::ColumnSchema& column = data.table->column(features[f]);
    if (column.name() != learned.name()) continue;
    if ((column.type() == v1::COLUMN_TYPE_CATEGORICAL) ==
        (learned.type() == v1::COLUMN_TYPE_CATEGORICAL)) {
      return static_cast<int32_t>(f);
    }
    return Unfit(spec, absl::StrCat("splits on \"", learned.name(), "\" as ",
                                    v1::ColumnType_Name(learned.type()), "; in the data it is ",
                                    v1::ColumnType_Name(column.type())));
  }
  return Unfit(spec,
               absl::StrCat("splits on \"", learned.name(), "\", which is no feature of the job"));
}

// The levels that go left at a node, as the table numbers them, ascending.
std::vector<int32_t> TranslateLevels(const Tree& tree, int node, const v1::ColumnSchema& learned,
                                     std::span<const std::string> levels) {
  std::vector<int32_t> codes;
  for (const int32_t code : tree.LeftLevels(node)) {
    const auto at = std::find(levels.begin(), levels.end(), learned.levels(code));
    if (at != levels.end()) codes.push_back(static_cast<int32_t>(at - levels.begin()));
  }
  std::sort(codes.begin(), codes.end());
  return codes;
}

}  // namespace

absl::StatusOr<Tree> LoadWarmStart(const v1::QuantBnbSpec& spec, const LearningTable& data,
                                   TrainingContext& context) {
  TY_ASSIGN_OR_RETURN(const InputTreeModel input,
                      LoadInputTreeModel("warm_start", spec.warm_start(), context));
  const std::vector<Tree>& trees = input.stored.ensemble.trees;
  if (trees.size() != 1) return Unfit(spec, absl::StrCat("has ", trees.size(), " trees, not one"));
  const Tree& learned = trees.front();
  if (learned.depth() > spec.depth()) {
    return Unfit(spec, absl::StrCat("has a tree of depth ", learned.depth(),
                                    "; depth of the spec is ", spec.depth()));
  }
  Tree tree = learned;
  tree.level_begin.assign(1, 0);
  tree.left_levels.clear();
  std::vector<uint8_t> made_leaf(tree.feature.size(), 0);
  for (int node = 0; node < learned.node_count(); ++node) {
    const size_t t = static_cast<size_t>(node);
    if (!learned.is_leaf(node)) {
      const v1::ColumnSchema& column = input.stored.model.features(learned.feature[t]);
      TY_ASSIGN_OR_RETURN(tree.feature[t], FindFeature(spec, data, column));
      if (learned.is_categorical(node)) {
        const int index = data.columns.features[static_cast<size_t>(tree.feature[t])];
        const std::vector<int32_t> codes =
            TranslateLevels(learned, node, column, data.table->levels(index));
        tree.left_levels.insert(tree.left_levels.end(), codes.begin(), codes.end());
        made_leaf[t] = codes.empty() ? 1 : 0;
      }
    }
    tree.level_begin.push_back(static_cast<int32_t>(tree.left_levels.size()));
  }
  return MakeLeaves(tree, made_leaf);
}

}  // namespace trainyard
