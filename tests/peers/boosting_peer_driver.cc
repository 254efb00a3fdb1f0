// boosting_peer_driver TRAIN.csv OPTIONS.json TEST.csv
//
// Boosts all rows of TRAIN.csv (the target last) by BoostingOptions in JSON, once with one thread
// and binning included in the time, and prints one JSON document: the CPU and wall seconds, the
// number of trees and, for every row of TEST.csv, the raw scores, [row][output]. Classes are the
// numbers 0, 1, …
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <string>

#include "core/base/status.h"
#include "core/trees/boosting/boosting.h"
#include "core/trees/tree_predictor.h"
#include "proto/schema/field_rules.h"
#include "tests/peers/peer_io.h"

namespace trainyard {
namespace {

using Options = v1::BoostingOptions;

struct Timed {
  BoostingResult result;
  double cpu_seconds = 0;
  double wall_seconds = 0;
};

absl::StatusOr<Timed> Fit(const PeerRows& train, const Options& options, int threads) {
  const std::span<const double> target = train.target;
  std::vector<int32_t> classes;
  if (options.loss() == Options::LOSS_LOGISTIC || options.loss() == Options::LOSS_SOFTMAX) {
    classes = train.Classes();
  }
  const int class_count =
      classes.empty() ? 0 : *std::max_element(classes.begin(), classes.end()) + 1;
  std::vector<int64_t> table_rows(target.size());
  std::iota(table_rows.begin(), table_rows.end(), int64_t{0});
  const std::vector<uint32_t> rows(table_rows.begin(), table_rows.end());
  const double cpu_start = CpuSeconds();
  const auto wall_start = std::chrono::steady_clock::now();
  ThreadPool pool(threads);
  TY_ASSIGN_OR_RETURN(
      const BinnedFeatures features,
      BinnedFeatures::Build(train.features, table_rows, {options.max_bins(), {}, {}}, pool, {}));
  const TreeTarget own = classes.empty() ? TreeTarget::Regression(target)
                                         : TreeTarget::Classification(classes, class_count);
  Timed timed;
  TY_ASSIGN_OR_RETURN(timed.result,
                      FitBoosting({features, own, {}, rows, {}, {}}, options, {}, pool, {}));
  timed.cpu_seconds = CpuSeconds() - cpu_start;
  timed.wall_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - wall_start).count();
  return timed;
}

// Raw scores of the table's rows, [row][output].
std::vector<double> Predict(const PeerRows& test, const TreeEnsemble& ensemble) {
  const size_t rows = test.target.size();
  const size_t outputs = static_cast<size_t>(ensemble.outputs);
  std::vector<double> scores(rows * outputs);
  for (size_t k = 0; k < outputs; ++k) {
    std::vector<Tree> own;
    for (size_t i = k; i < ensemble.trees.size(); i += outputs) own.push_back(ensemble.trees[i]);
    std::vector<double> values(rows);
    TreePredictor(own, TreeCombination::kSum).Predict(test.features, 0, values);
    for (size_t r = 0; r < rows; ++r) scores[r * outputs + k] = ensemble.base[k] + values[r];
  }
  return scores;
}

absl::Status Run(int argc, char** argv) {
  if (argc != 4 && argc != 5) {
    return absl::InvalidArgumentError("usage: TRAIN.csv OPTIONS.json TEST.csv [THREADS]");
  }
  TY_ASSIGN_OR_RETURN(const PeerRows train, ReadPeerRows(argv[1]));
  Options options;
  TY_RETURN_IF_ERROR(ReadPeerOptions(argv[2], options));
  TY_ASSIGN_OR_RETURN(const PeerRows test, ReadPeerRows(argv[3]));
  FillDefaults(options);
  TY_ASSIGN_OR_RETURN(const Timed timed, Fit(train, options, argc == 5 ? std::stoi(argv[4]) : 1));
  std::printf("{\"cpu_seconds\": %g, \"wall_seconds\": %g, \"trees\": %zu, \"outputs\": %d, ",
              timed.cpu_seconds, timed.wall_seconds, timed.result.ensemble.trees.size(),
              timed.result.ensemble.outputs);
  PrintNumbers("scores", Predict(test, timed.result.ensemble));
  std::printf("}\n");
  return absl::OkStatus();
}

}  // namespace
}  // namespace trainyard

int main(int argc, char** argv) { return trainyard::RunDriver(trainyard::Run, argc, argv); }
