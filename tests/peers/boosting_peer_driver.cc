// boosting_peer_driver TRAIN.csv OPTIONS.json TEST.csv
//
// Boosts all rows of TRAIN.csv (the target last) by BoostingOptions in JSON, once with one thread
// and binning included in the time, and prints one JSON document: the CPU and wall seconds, the
// number of trees and, for every row of TEST.csv, the raw scores, [row][output]. Classes are the
// numbers 0, 1, …
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <numeric>
#include <string>

#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/data/table.h"
#include "core/trees/boosting/boosting.h"
#include "core/trees/tree_predictor.h"
#include "google/protobuf/util/json_util.h"
#include "proto/schema/field_rules.h"

namespace trainyard {
namespace {

using Options = v1::BoostingOptions;

std::vector<FeatureColumn> FeaturesOf(const Table& table) {
  std::vector<FeatureColumn> columns;
  for (int c = 0; c + 1 < table.schema().columns_size(); ++c) {
    columns.push_back(FeatureColumn::Numeric(table.numbers(c)));
  }
  return columns;
}

struct Timed {
  BoostingResult result;
  double cpu_seconds = 0;
  double wall_seconds = 0;
};

absl::StatusOr<Timed> Fit(const Table& table, const Options& options, int threads) {
  const std::vector<FeatureColumn> columns = FeaturesOf(table);
  const std::span<const double> target = table.numbers(table.schema().columns_size() - 1);
  std::vector<int32_t> classes;
  if (options.loss() == Options::LOSS_LOGISTIC || options.loss() == Options::LOSS_SOFTMAX) {
    for (const double value : target) classes.push_back(static_cast<int32_t>(value));
  }
  const int class_count =
      classes.empty() ? 0 : *std::max_element(classes.begin(), classes.end()) + 1;
  std::vector<int64_t> table_rows(target.size());
  std::iota(table_rows.begin(), table_rows.end(), int64_t{0});
  const std::vector<uint32_t> rows(table_rows.begin(), table_rows.end());
  const std::clock_t cpu_start = std::clock();
  const auto wall_start = std::chrono::steady_clock::now();
  ThreadPool pool(threads);
  TY_ASSIGN_OR_RETURN(
      const BinnedFeatures features,
      BinnedFeatures::Build(columns, table_rows, {options.max_bins(), {}, {}}, pool, {}));
  const TreeTarget own = classes.empty() ? TreeTarget::Regression(target)
                                         : TreeTarget::Classification(classes, class_count);
  Timed timed;
  TY_ASSIGN_OR_RETURN(timed.result,
                      FitBoosting({features, own, {}, rows, {}, {}}, options, {}, pool, {}));
  timed.cpu_seconds = static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC;
  timed.wall_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - wall_start).count();
  return timed;
}

// Raw scores of the table's rows, [row][output].
std::vector<double> Predict(const Table& table, const TreeEnsemble& ensemble) {
  const std::vector<FeatureColumn> columns = FeaturesOf(table);
  const size_t rows = static_cast<size_t>(table.row_count());
  const size_t outputs = static_cast<size_t>(ensemble.outputs);
  std::vector<double> scores(rows * outputs);
  for (size_t k = 0; k < outputs; ++k) {
    std::vector<Tree> own;
    for (size_t i = k; i < ensemble.trees.size(); i += outputs) own.push_back(ensemble.trees[i]);
    std::vector<double> values(rows);
    TreePredictor(own, TreeCombination::kSum).Predict(columns, 0, values);
    for (size_t r = 0; r < rows; ++r) scores[r * outputs + k] = ensemble.base[k] + values[r];
  }
  return scores;
}

absl::Status Run(int argc, char** argv) {
  if (argc != 4 && argc != 5) {
    return absl::InvalidArgumentError("usage: TRAIN.csv OPTIONS.json TEST.csv [THREADS]");
  }
  TY_ASSIGN_OR_RETURN(const std::shared_ptr<const Table> train, ReadTable(argv[1], {}, {}, 1));
  TY_ASSIGN_OR_RETURN(const std::string json, ReadFile(argv[2]));
  TY_ASSIGN_OR_RETURN(const std::shared_ptr<const Table> test, ReadTable(argv[3], {}, {}, 1));
  Options options;
  if (!google::protobuf::util::JsonStringToMessage(json, &options).ok()) {
    return absl::InvalidArgumentError("OPTIONS.json holds no BoostingOptions");
  }
  FillDefaults(options);
  TY_ASSIGN_OR_RETURN(const Timed timed, Fit(*train, options, argc == 5 ? std::stoi(argv[4]) : 1));
  std::printf(
      "{\"cpu_seconds\": %g, \"wall_seconds\": %g, \"trees\": %zu, \"outputs\": %d, "
      "\"scores\": [",
      timed.cpu_seconds, timed.wall_seconds, timed.result.ensemble.trees.size(),
      timed.result.ensemble.outputs);
  const char* separator = "";
  for (const double score : Predict(*test, timed.result.ensemble)) {
    std::printf("%s%.17g", separator, score);
    separator = ",";
  }
  std::printf("]}\n");
  return absl::OkStatus();
}

}  // namespace
}  // namespace trainyard

int main(int argc, char** argv) {
  const absl::Status status = trainyard::Run(argc, argv);
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
