// shrink_peer_driver FOREST.csv SCHEME LAMBDA ROUNDS
//
// Shrinks a forest of another library (peer_io.h says how it is written) by a scheme of
// HierarchicalShrinkageSpec, as often as ROUNDS says, and prints JSON: the values of all nodes,
// tree after tree, [node][output], and the CPU seconds of one round on one thread.
#include <cstdio>
#include <cstdlib>

#include "core/base/status.h"
#include "core/trees/shrinkage.h"
#include "tests/peers/peer_io.h"

namespace trainyard {
namespace {

absl::Status Run(int argc, char** argv) {
  if (argc != 5) return absl::InvalidArgumentError("usage: FOREST.csv SCHEME LAMBDA ROUNDS");
  TY_ASSIGN_OR_RETURN(TreeEnsemble forest, ReadPeerForest(argv[1]));
  ShrinkageScheme scheme;
  if (!v1::HierarchicalShrinkageSpec::Scheme_Parse(argv[2], &scheme)) {
    return absl::InvalidArgumentError("SCHEME is no scheme of HierarchicalShrinkageSpec");
  }
  const double lambda = std::atof(argv[3]);
  const int rounds = std::atoi(argv[4]);
  const double start = CpuSeconds();
  for (int round = 0; round < rounds; ++round) {
    for (Tree& tree : forest.trees) Shrink(scheme, lambda, tree);
  }
  std::printf("{\"seconds\": %.9g, ", (CpuSeconds() - start) / rounds);
  std::vector<double> values;
  for (const Tree& tree : forest.trees) {
    values.insert(values.end(), tree.value.begin(), tree.value.end());
  }
  PrintNumbers("values", values);
  std::printf("}\n");
  return absl::OkStatus();
}

}  // namespace
}  // namespace trainyard

int main(int argc, char** argv) { return trainyard::RunDriver(trainyard::Run, argc, argv); }
