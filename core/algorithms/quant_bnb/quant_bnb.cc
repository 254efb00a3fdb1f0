#include "core/algorithms/quant_bnb/quant_bnb.h"

#include <memory>
#include <utility>

#include "core/algorithms/quant_bnb/resolve.h"
#include "core/algorithms/quant_bnb/train.h"
#include "core/algorithms/table_algorithm.h"
#include "core/algorithms/tree_model_predictor.h"
#include "core/base/status.h"
#include "core/trees/tree_model_files.h"

namespace trainyard {
namespace {

class QuantBnb final : public TableAlgorithm<v1::QuantBnbSpec> {
 public:
  std::string_view name() const override { return "quant_bnb"; }
  std::string_view title() const override {
    return "Decision trees of few levels, proven to be the best there are";
  }
  std::string_view citation() const override {
    return "Mazumder, Meng, Wang: Quant-BnB: A Scalable Branch-and-Bound Method for Optimal "
           "Decision Trees with Continuous Features. ICML 2022.";
  }

  absl::StatusOr<std::unique_ptr<Predictor>> LoadPredictor(
      const v1::ModelManifest&, const std::filesystem::path& model_folder) const override {
    TY_ASSIGN_OR_RETURN(StoredTrees stored, ReadTreeModel(model_folder));
    return MakeTreeModelPredictor(stored.model, std::move(stored.ensemble));
  }

 protected:
  TableColumns ResolveSpec(const v1::TableSchema& schema, std::string_view path,
                           v1::QuantBnbSpec& spec, Violations& violations) const override {
    return ResolveQuantBnb(schema, path, spec, violations);
  }

  int64_t EstimateSpecMemory(const v1::QuantBnbSpec& spec,
                             const v1::TableSchema& schema) const override {
    return EstimateQuantBnbMemory(spec, schema);
  }

  absl::StatusOr<TrainingResult> TrainOnTable(const v1::QuantBnbSpec& spec,
                                              const TableColumns& columns,
                                              std::shared_ptr<const Table> table,
                                              const Tables& /*tables*/,
                                              TrainingContext& context) const override {
    return TrainQuantBnb(spec, columns, std::move(table), context);
  }
};

}  // namespace

const Algorithm& QuantBnbAlgorithm() {
  static const auto* const algorithm = new QuantBnb();
  return *algorithm;
}

}  // namespace trainyard
