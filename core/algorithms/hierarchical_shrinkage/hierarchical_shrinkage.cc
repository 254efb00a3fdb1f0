#include "core/algorithms/hierarchical_shrinkage/hierarchical_shrinkage.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/algorithms/hierarchical_shrinkage/resolve.h"
#include "core/algorithms/hierarchical_shrinkage/train.h"
#include "core/algorithms/tree_model_predictor.h"
#include "core/base/status.h"
#include "core/trees/tree_model_files.h"
#include "proto/schema/field_rules.h"

namespace trainyard {
namespace {

constexpr char kName[] = "hierarchical_shrinkage";

class HierarchicalShrinkage final : public Algorithm {
 public:
  std::string_view name() const override { return kName; }
  std::string_view title() const override {
    return "Decision trees whose node values are shrunk towards those of their ancestors";
  }
  std::string_view citation() const override {
    return "Agarwal, Tan, Ronen, Singh, Yu: Hierarchical Shrinkage: Improving the Accuracy and "
           "Interpretability of Tree-Based Methods. ICML 2022.";
  }

  void Resolve(const TableSchemas& tables, std::string_view path, v1::TrainingSpec& spec,
               Violations& violations) const override {
    v1::HierarchicalShrinkageSpec& own = *spec.mutable_hierarchical_shrinkage();
    const std::string own_path =
        path.empty() ? std::string(kName) : std::string(path) + "." + kName;
    const auto schema = tables.find(own.input().dataset());
    if (schema == tables.end()) {
      violations.Add(own_path + ".input.dataset",
                     absl::StrCat("is \"", own.input().dataset(), "\", which is not a table"));
      return;
    }
    ResolveHierarchicalShrinkage(schema->second, own_path, own, violations);
  }

  int64_t EstimateMemory(const v1::TrainingSpec& spec, const TableSchemas& tables) const override {
    const auto schema = tables.find(spec.hierarchical_shrinkage().input().dataset());
    if (schema == tables.end()) return 0;
    return EstimateHierarchicalShrinkageMemory(spec.hierarchical_shrinkage(), schema->second);
  }

  absl::StatusOr<TrainingResult> Train(const v1::TrainingSpec& spec, const Tables& tables,
                                       TrainingContext& context) const override {
    v1::HierarchicalShrinkageSpec own = spec.hierarchical_shrinkage();
    const auto table = tables.find(own.input().dataset());
    if (table == tables.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the table \"", own.input().dataset(), "\" is not at hand"));
    }
    // The data may be a newer version than the one the spec was resolved against.
    FillDefaults(own);
    Violations violations;
    const TableColumns columns =
        ResolveHierarchicalShrinkage(table->second->schema(), kName, own, violations);
    TY_RETURN_IF_ERROR(violations.ToStatus());
    return TrainHierarchicalShrinkage(own, columns, table->second, context);
  }

  absl::StatusOr<std::unique_ptr<Predictor>> LoadPredictor(
      const v1::ModelManifest&, const std::filesystem::path& model_folder) const override {
    TY_ASSIGN_OR_RETURN(StoredTrees stored, ReadTreeModel(model_folder));
    return MakeTreeModelPredictor(stored.model, stored.ensemble);
  }
};

}  // namespace

const Algorithm& HierarchicalShrinkageAlgorithm() {
  static const auto* const algorithm = new HierarchicalShrinkage();
  return *algorithm;
}

}  // namespace trainyard
