#include "core/algorithms/convex_relu/convex_relu.h"

#include <memory>
#include <utility>

#include "core/algorithms/convex_relu/network_files.h"
#include "core/algorithms/convex_relu/network_predictor.h"
#include "core/algorithms/convex_relu/resolve.h"
#include "core/algorithms/convex_relu/train.h"
#include "core/algorithms/table_algorithm.h"
#include "core/base/status.h"

namespace trainyard {
namespace {

class ConvexRelu final : public TableAlgorithm<v1::ConvexReluSpec> {
 public:
  std::string_view name() const override { return "convex_relu"; }
  std::string_view title() const override {
    return "Two-layer ReLU networks trained to global optimality";
  }
  std::string_view citation() const override {
    return "Mishkin, Sahiner, Pilanci: Fast Convex Optimization for Two-Layer ReLU Networks: "
           "Equivalent Model Classes and Cone Decompositions. ICML 2022.";
  }

  absl::StatusOr<std::unique_ptr<Predictor>> LoadPredictor(
      const v1::ModelManifest&, const std::filesystem::path& model_folder) const override {
    TY_ASSIGN_OR_RETURN(convex_relu::NetworkModel model,
                        convex_relu::ReadNetworkModel(model_folder));
    return convex_relu::MakeNetworkPredictor(std::move(model));
  }

 protected:
  TableColumns ResolveSpec(const v1::TableSchema& schema, std::string_view path,
                           v1::ConvexReluSpec& spec, Violations& violations) const override {
    return ResolveConvexRelu(schema, path, spec, violations);
  }

  void CheckOtherTables(const TableSchemas& tables, std::string_view path,
                        const v1::ConvexReluSpec& spec, Violations& violations) const override {
    CheckGateTable(tables, path, spec, violations);
  }

  int64_t EstimateSpecMemory(const v1::ConvexReluSpec& spec,
                             const v1::TableSchema& schema) const override {
    return EstimateConvexReluMemory(spec, schema);
  }

  absl::StatusOr<TrainingResult> TrainOnTable(const v1::ConvexReluSpec& spec,
                                              const TableColumns& columns,
                                              std::shared_ptr<const Table> table,
                                              const Tables& tables,
                                              TrainingContext& context) const override {
    const Table* gates = nullptr;
    if (!spec.gates().dataset().empty()) {
      const auto found = tables.find(spec.gates().dataset());
      if (found == tables.end()) {
        return absl::InvalidArgumentError("gates.dataset: the table is not at hand");
      }
      gates = found->second.get();
    }
    return TrainConvexRelu(spec, columns, std::move(table), gates, context);
  }
};

}  // namespace

const Algorithm& ConvexReluAlgorithm() {
  static const auto* const algorithm = new ConvexRelu();
  return *algorithm;
}

}  // namespace trainyard
