#include "core/algorithms/tree_model_explainer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/algorithms/tree_explanations.h"
#include "core/base/status.h"
#include "core/trees/explain/importance.h"

namespace trainyard {
namespace {

// The numbers of the raw scores that are named; all where none is.
std::vector<int> FindOutputs(const TreeModelExplainer::Model& model,
                             const v1::ExplainHeader& header, Violations& violations) {
  std::vector<int> outputs;
  for (int i = 0; i < header.outputs_size(); ++i) {
    const auto found = std::find(model.outputs.begin(), model.outputs.end(), header.outputs(i));
    const std::string field = absl::StrCat("header.outputs[", i, "]");
    if (found == model.outputs.end()) {
      constexpr size_t kShown = 20;
      const size_t shown = std::min(kShown, model.outputs.size());
      violations.Add(
          field,
          absl::StrCat("'", header.outputs(i), "' is no output of the model; it has ",
                       absl::StrJoin(model.outputs.begin(),
                                     model.outputs.begin() + static_cast<ptrdiff_t>(shown), ", "),
                       shown < model.outputs.size() ? ", …" : ""));
      continue;
    }
    const int output = static_cast<int>(found - model.outputs.begin());
    if (std::find(outputs.begin(), outputs.end(), output) != outputs.end()) {
      violations.Add(field, absl::StrCat("'", header.outputs(i), "' is given twice"));
    }
    outputs.push_back(output);
  }
  if (header.outputs_size() > 0 && header.has_importance()) {
    violations.Add("header.outputs", "must not be given for importance");
  }
  for (size_t k = 0; header.outputs_size() == 0 && k < model.outputs.size(); ++k) {
    outputs.push_back(static_cast<int>(k));
  }
  return outputs;
}

v1::ExplanationInfo::Scale ScaleOf(Link link) {
  switch (link) {
    case Link::kLogistic:
      return v1::ExplanationInfo::SCALE_LOG_ODDS;
    case Link::kSoftmax:
      return v1::ExplanationInfo::SCALE_SOFTMAX;
    case Link::kExp:
      return v1::ExplanationInfo::SCALE_LOG;
    case Link::kIdentity:
    case Link::kClip:
      break;
  }
  return v1::ExplanationInfo::SCALE_PREDICTION;
}

}  // namespace

TreeEnsemble TreeModelExplainer::Model::Ensemble() const {
  TreeEnsemble ensemble = predictor->Restore();
  for (size_t t = 0; t < weights.size(); ++t) ensemble.trees[t].weight = weights[t];
  return ensemble;
}

TreeModelExplainer::TreeModelExplainer(const v1::TreeModel& model, const TreeEnsemble& ensemble,
                                       const TreePredictor& predictor)
    : model_(std::make_unique<Model>()) {
  model_->features.assign(model.features().begin(), model.features().end());
  model_->targets.assign(model.targets().begin(), model.targets().end());
  model_->classes.assign(model.classes().begin(), model.classes().end());
  model_->outputs = model_->classes.empty() ? model_->targets : model_->classes;
  // One score for two classes is that of the second.
  if (ensemble.link == Link::kLogistic) model_->outputs.erase(model_->outputs.begin());
  model_->impurity_importance =
      ImpurityImportance(ensemble, static_cast<int>(model_->features.size()));
  for (const Tree& tree : ensemble.trees) {
    std::vector<double>& weights = model_->weights.emplace_back();
    weights.reserve(tree.feature.size());
    for (const int32_t node : BreadthFirst(tree)) {
      weights.push_back(tree.weight[static_cast<size_t>(node)]);
    }
  }
  model_->predictor = &predictor;
}

TreeModelExplainer::~TreeModelExplainer() = default;

absl::StatusOr<std::unique_ptr<Explanation>> TreeModelExplainer::Explain(ExplanationRequest request,
                                                                         const Bind& bind) const {
  auto job = std::make_unique<TreeExplanationJob>(*model_, std::move(request));
  const v1::ExplainHeader& header = job->request.header;
  Violations violations;
  job->outputs = FindOutputs(*model_, header, violations);
  TY_RETURN_IF_ERROR(violations.ToStatus());
  TY_ASSIGN_OR_RETURN(job->table, bind(*job->request.table));
  if (header.has_importance()) return MakeImportanceExplanation(std::move(job));
  if (header.has_dependence()) return MakeDependenceExplanation(std::move(job));
  return MakeShapExplanation(std::move(job), bind);
}

TreeExplanationJob::TreeExplanationJob(const TreeModelExplainer::Model& own_model,
                                       ExplanationRequest own_request)
    : model(own_model),
      request(std::move(own_request)),
      rows(request.table->row_count()),
      pool(std::max(1, request.threads)),
      stop(request.check) {
  if (request.header.row_limit() > 0) rows = std::min(rows, request.header.row_limit());
}

std::vector<v1::ExplainResponse> TreeExplanationJob::Info(
    std::span<const double> base_values) const {
  constexpr size_t kMaxBytes = 512 << 10;
  std::vector<v1::ExplainResponse> messages(1);
  size_t bytes = 0;
  const auto room_for = [&](const std::string& name) {
    // Names of columns and levels are at most as long as a line; one always fits a message.
    bytes += name.size() + 8;
    if (bytes > kMaxBytes && bytes > name.size() + 8) {
      messages.emplace_back();
      bytes = name.size() + 8;
    }
    return messages.back().mutable_info();
  };
  messages[0].mutable_info()->set_scale(ScaleOf(model.predictor->link()));
  messages[0].mutable_info()->set_row_count(rows);
  messages[0].mutable_info()->mutable_base_values()->Add(base_values.begin(), base_values.end());
  for (const v1::ColumnSchema& feature : model.features) {
    v1::ExplanationInfo& info = *room_for(feature.name());
    info.add_features(feature.name());
    info.add_categorical(feature.type() == v1::COLUMN_TYPE_CATEGORICAL);
  }
  for (const int output : outputs) {
    const std::string& name = model.outputs[static_cast<size_t>(output)];
    room_for(name)->add_outputs(name);
  }
  return messages;
}

TreeEnsemble SelectOutputs(const TreeEnsemble& ensemble, const std::vector<int>& outputs) {
  TreeEnsemble selected;
  selected.link = Link::kIdentity;
  selected.outputs = static_cast<int>(outputs.size());
  selected.combination = ensemble.combination;
  for (const int output : outputs) {
    if (!ensemble.base.empty()) {
      selected.base.push_back(ensemble.base[static_cast<size_t>(output)]);
    }
  }
  for (size_t t = 0; t < ensemble.trees.size(); ++t) {
    const Tree& tree = ensemble.trees[t];
    if (!ensemble.tree_output.empty()) {
      const auto found = std::find(outputs.begin(), outputs.end(), ensemble.tree_output[t]);
      if (found == outputs.end()) {
        // Of a mean every tree counts, so one without splits and value stands in.
        if (ensemble.combination == TreeCombination::kSum) continue;
        Tree leaf;
        leaf.feature = leaf.left = leaf.right = {-1};
        leaf.threshold = leaf.value = {0};
        leaf.missing_left = {0};
        leaf.weight =
            tree.weight.empty() ? std::vector<double>{1} : std::vector<double>{tree.weight[0]};
        selected.trees.push_back(std::move(leaf));
        selected.tree_output.push_back(0);
        continue;
      }
      selected.trees.push_back(tree);
      selected.tree_output.push_back(static_cast<int32_t>(found - outputs.begin()));
      continue;
    }
    Tree& copy = selected.trees.emplace_back(tree);
    copy.outputs = selected.outputs;
    copy.value.clear();
    for (int node = 0; node < tree.node_count(); ++node) {
      const std::span<const double> value = tree.ValueOf(node);
      for (const int output : outputs) copy.value.push_back(value[static_cast<size_t>(output)]);
    }
  }
  return selected;
}

}  // namespace trainyard
