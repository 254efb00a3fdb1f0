// trees_peer_driver TRAIN.csv SPEC.json [TEST.csv]
//
// Trains hierarchical shrinkage on all rows of TRAIN.csv by a HierarchicalShrinkageSpec in JSON
// (its data set is filled in) and prints one JSON document: the report, the tree node by node, and,
// for every row of TEST.csv, the values of the shrunk and of the plain tree.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>

#include "core/algorithms/hierarchical_shrinkage/hierarchical_shrinkage.h"
#include "core/base/status.h"
#include "core/data/table.h"
#include "core/trees/tree_model_files.h"
#include "core/trees/tree_predictor.h"
#include "core/trees/tree_printer.h"
#include "core/trees/tree_proto.h"
#include "google/protobuf/util/json_util.h"
#include "proto/schema/field_rules.h"
#include "tests/peers/peer_io.h"

namespace trainyard {
namespace {

constexpr char kDataset[] = "projects/peers/datasets/train";

// A context without anybody listening; its model folder is removed at the end.
class QuietContext final : public TrainingContext {
 public:
  QuietContext()
      : folder_(std::filesystem::temp_directory_path() /
                ("trees_peer_driver_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~QuietContext() override { std::filesystem::remove_all(folder_); }
  void ReportProgress(const v1::Progress&) override {}
  void ReportMetrics(int64_t, const std::vector<std::pair<std::string, double>>&) override {}
  void Log(v1::LogLine::Severity, std::string_view text) override { std::cerr << text << "\n"; }
  absl::Status CheckCancelled() override { return absl::OkStatus(); }
  absl::Status SaveCheckpoint(int64_t, std::string_view) override { return absl::OkStatus(); }
  absl::StatusOr<std::optional<std::string>> LoadCheckpoint() override { return std::nullopt; }
  const std::filesystem::path& model_folder() const override { return folder_; }
  int threads() const override { return 2; }
  int attempt() const override { return 1; }

 private:
  std::filesystem::path folder_;
};

// Predictions for every row of the file, [row][prediction].
absl::StatusOr<std::vector<double>> PredictFile(const TreeEnsemble& ensemble,
                                                const v1::TreeModel& model,
                                                const std::filesystem::path& file) {
  TY_ASSIGN_OR_RETURN(const std::shared_ptr<const Table> table, ReadTable(file, {}, {}, 1));
  std::vector<FeatureColumn> columns;
  for (const v1::ColumnSchema& feature : model.features()) {
    const std::optional<int> column = table->FindColumn(feature.name());
    if (!column.has_value()) return absl::NotFoundError(feature.name());
    columns.push_back(FeatureColumn::Numeric(table->numbers(*column)));
  }
  std::vector<double> values(static_cast<size_t>(table->row_count()) *
                             static_cast<size_t>(ensemble.prediction_count()));
  TreePredictor(ensemble).Predict(columns, 0, values);
  return values;
}

absl::Status Run(int argc, char** argv) {
  if (argc < 3) return absl::InvalidArgumentError("usage: TRAIN.csv SPEC.json [TEST.csv]");
  TY_ASSIGN_OR_RETURN(const std::shared_ptr<const Table> table, ReadTable(argv[1], {}, {}, 1));
  v1::TrainingSpec spec;
  v1::HierarchicalShrinkageSpec& own = *spec.mutable_hierarchical_shrinkage();
  TY_RETURN_IF_ERROR(ReadPeerOptions(argv[2], own));
  own.mutable_input()->set_dataset(kDataset);
  own.mutable_input()->mutable_split()->set_test_fraction(0);
  FillDefaults(spec);
  const Algorithm& algorithm = HierarchicalShrinkageAlgorithm();
  Violations violations;
  algorithm.Resolve({{kDataset, table->schema()}}, "", spec, violations);
  TY_RETURN_IF_ERROR(violations.ToStatus());
  QuietContext context;
  TY_ASSIGN_OR_RETURN(const TrainingResult result,
                      algorithm.Train(spec, {{kDataset, table}}, context));
  TY_ASSIGN_OR_RETURN(StoredTrees stored, ReadTreeModel(context.model_folder()));
  TreeEnsemble& ensemble = stored.ensemble;
  std::string report;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  if (!google::protobuf::util::MessageToJsonString(result.report.hierarchical_shrinkage(), &report,
                                                   options)
           .ok()) {
    return absl::InternalError("the report cannot be printed");
  }
  std::printf("{\"report\": %s, \"tree\": %s", report.c_str(),
              TreeToJson(ensemble.trees[0], {})->c_str());
  if (argc > 3) {
    TY_ASSIGN_OR_RETURN(const std::vector<double> shrunk,
                        PredictFile(ensemble, stored.model, argv[3]));
    for (Tree& tree : ensemble.trees) tree.value = tree.mean;
    TY_ASSIGN_OR_RETURN(const std::vector<double> plain,
                        PredictFile(ensemble, stored.model, argv[3]));
    std::printf(", ");
    PrintNumbers("shrunk", shrunk);
    std::printf(", ");
    PrintNumbers("plain", plain);
  }
  std::printf("}\n");
  return absl::OkStatus();
}

}  // namespace
}  // namespace trainyard

int main(int argc, char** argv) { return trainyard::RunDriver(trainyard::Run, argc, argv); }
