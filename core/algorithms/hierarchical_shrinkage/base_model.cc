#include "core/algorithms/hierarchical_shrinkage/base_model.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/algorithms/input_tree_model.h"
#include "core/base/status.h"

namespace trainyard {
namespace {

using Spec = v1::HierarchicalShrinkageSpec;

absl::Status Unfit(const Spec& spec, std::string_view what) {
  return UnfitModel("base_model", spec.base_model(), what);
}

absl::Status CheckTask(const Spec& spec, const v1::TreeModel& model, const LearningTable& data) {
  const bool classes = model.output() == v1::TreeModel::OUTPUT_PROBABILITIES;
  if (classes != data.classification()) {
    return Unfit(spec, absl::StrCat("is for ", classes ? "classification" : "regression",
                                    "; the task is ", Spec::Task_Name(spec.task())));
  }
  const int targets = static_cast<int>(data.columns.targets.size());
  if (model.targets_size() == targets) return absl::OkStatus();
  return Unfit(spec, absl::StrCat("has ", model.targets_size(), " targets; input has ", targets));
}

// Renumbers the classes of the table as the model numbers them.
absl::Status AdoptClasses(const Spec& spec, const v1::TreeModel& model, LearningTable& data) {
  std::vector<int32_t> number;
  for (const std::string& label : data.class_labels) {
    const auto at = std::find(model.classes().begin(), model.classes().end(), label);
    if (at == model.classes().end()) {
      return Unfit(spec, absl::StrCat("does not know the class \"", label, "\""));
    }
    number.push_back(static_cast<int32_t>(at - model.classes().begin()));
  }
  for (int32_t& own : data.classes) own = own < 0 ? own : number[static_cast<size_t>(own)];
  data.class_labels.assign(model.classes().begin(), model.classes().end());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BaseModel> LoadBaseModel(const Spec& spec, LearningTable& data,
                                        TrainingContext& context) {
  TY_ASSIGN_OR_RETURN(InputTreeModel input,
                      LoadInputTreeModel("base_model", spec.base_model(), context));
  BaseModel base;
  base.manifest = std::move(input.manifest);
  base.stored = std::move(input.stored);
  TY_RETURN_IF_ERROR(CheckTask(spec, base.stored.model, data));
  TY_RETURN_IF_ERROR(AdoptClasses(spec, base.stored.model, data));
  TY_ASSIGN_OR_RETURN(base.features, FeatureBinder(base.stored.model).Bind(*data.table));
  data.features = base.features.columns;
  return base;
}

}  // namespace trainyard
