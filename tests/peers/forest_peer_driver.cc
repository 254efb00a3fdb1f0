// forest_peer_driver CLASSES CART.json FOREST.json SEED TRAIN.csv TEST.csv
//
// The last column of both tables is the target: one of CLASSES classes from 0 on, or a number where
// CLASSES is 0. Prints one JSON document: the cost-complexity path of one CART by CartOptions, and
// of a forest by CartOptions and ForestOptions its values for every test row and its out-of-bag
// score.
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "core/base/status.h"
#include "core/trees/forest.h"
#include "core/trees/pruning.h"
#include "core/trees/tree_predictor.h"
#include "tests/peers/peer_io.h"

namespace trainyard {
namespace {

absl::Status Run(int argc, char** argv) {
  if (argc != 7) {
    return absl::InvalidArgumentError("usage: CLASSES CART.json FOREST.json SEED TRAIN TEST");
  }
  v1::CartOptions cart;
  v1::ForestOptions options;
  TY_RETURN_IF_ERROR(ReadPeerOptions(argv[2], cart));
  TY_RETURN_IF_ERROR(ReadPeerOptions(argv[3], options));
  TY_ASSIGN_OR_RETURN(const PeerRows train, ReadPeerRows(argv[5]));
  TY_ASSIGN_OR_RETURN(const PeerRows test, ReadPeerRows(argv[6]));
  const int class_count = std::atoi(argv[1]);
  const uint64_t seed = static_cast<uint64_t>(std::atoll(argv[4]));
  const std::vector<int32_t> classes = train.Classes();
  const TreeTarget target = class_count > 0 ? TreeTarget::Classification(classes, class_count)
                                            : TreeTarget::Regression(train.target);
  ThreadPool pool(2);
  std::vector<int64_t> table_rows(train.target.size());
  std::iota(table_rows.begin(), table_rows.end(), int64_t{0});
  std::vector<uint32_t> rows(train.target.size());
  std::iota(rows.begin(), rows.end(), uint32_t{0});
  TY_ASSIGN_OR_RETURN(const PresortedFeatures features,
                      PresortedFeatures::Build(train.features, table_rows, pool, {}));
  TY_ASSIGN_OR_RETURN(const Tree tree, GrowCart(features, target, {}, rows, cart, pool, {}, seed));
  const PruningPath path = CostComplexityPath(tree);
  TY_ASSIGN_OR_RETURN(
      const Forest forest,
      GrowForest({features, target, {}, rows}, cart, options,
                 {v1::HierarchicalShrinkageSpec::SCHEME_HIERARCHICAL, {0}}, seed, {}, pool, {}));
  std::vector<double> values(test.target.size() * static_cast<size_t>(target.outputs));
  TreePredictor(forest.trees, TreeCombination::kMean).Predict(test.features, 0, values);
  std::vector<double> oob;
  if (!forest.oob.empty()) oob.push_back(ScoreOob(forest.oob, target, {}, rows)[0].score);
  std::printf("{");
  PrintNumbers("alphas", path.alphas);
  std::printf(", ");
  PrintNumbers("impurities", path.impurities);
  std::printf(", ");
  PrintNumbers("values", values);
  std::printf(", ");
  PrintNumbers("oob_score", oob);
  std::printf("}\n");
  return absl::OkStatus();
}

}  // namespace
}  // namespace trainyard

int main(int argc, char** argv) { return trainyard::RunDriver(trainyard::Run, argc, argv); }
