#include "core/algorithms/hierarchical_shrinkage/hierarchical_shrinkage.h"

#include <memory>
#include <utility>

#include "core/algorithms/hierarchical_shrinkage/resolve.h"
#include "core/algorithms/hierarchical_shrinkage/train.h"
#include "core/algorithms/table_algorithm.h"
#include "core/algorithms/tree_model_predictor.h"
#include "core/base/status.h"
#include "core/trees/tree_model_files.h"

namespace trainyard {
namespace {

class HierarchicalShrinkage final : public TableAlgorithm<v1::HierarchicalShrinkageSpec> {
 public:
  std::string_view name() const override { return "hierarchical_shrinkage"; }
  std::string_view title() const override {
    return "Decision trees whose node values are shrunk towards those of their ancestors";
  }
  std::string_view citation() const override {
    return "Agarwal, Tan, Ronen, Singh, Yu: Hierarchical Shrinkage: Improving the Accuracy and "
           "Interpretability of Tree-Based Methods. ICML 2022.";
  }

  absl::StatusOr<std::unique_ptr<Predictor>> LoadPredictor(
      const v1::ModelManifest&, const std::filesystem::path& model_folder) const override {
    TY_ASSIGN_OR_RETURN(StoredTrees stored, ReadTreeModel(model_folder));
    return MakeTreeModelPredictor(stored.model, stored.ensemble);
  }

 protected:
  TableColumns ResolveSpec(const v1::TableSchema& schema, std::string_view path,
                           v1::HierarchicalShrinkageSpec& spec,
                           Violations& violations) const override {
    return ResolveHierarchicalShrinkage(schema, path, spec, violations);
  }

  int64_t EstimateSpecMemory(const v1::HierarchicalShrinkageSpec& spec,
                             const v1::TableSchema& schema) const override {
    return EstimateHierarchicalShrinkageMemory(spec, schema);
  }

  absl::StatusOr<TrainingResult> TrainOnTable(const v1::HierarchicalShrinkageSpec& spec,
                                              const TableColumns& columns,
                                              std::shared_ptr<const Table> table,
                                              const Tables& /*tables*/,
                                              TrainingContext& context) const override {
    return TrainHierarchicalShrinkage(spec, columns, std::move(table), context);
  }
};

}  // namespace

const Algorithm& HierarchicalShrinkageAlgorithm() {
  static const auto* const kAlgorithm = new HierarchicalShrinkage();
  return *kAlgorithm;
}

}  // namespace trainyard
