// explain_peer_driver FOREST.csv ROWS.csv METHOD [BACKGROUND.csv]
//
// Explains a forest of another library with one output (peer_io.h says how it is written); ROWS.csv
// has one column per feature. METHOD is shap, interventional or interactions. Prints JSON: base
// value, SHAP (or interaction) values row by row, and the CPU seconds that explaining took on one
// thread.
#include <cstdio>
#include <string>

#include "core/base/status.h"
#include "core/data/table.h"
#include "core/trees/explain/interventional_shap.h"
#include "core/trees/explain/path_shap.h"
#include "core/trees/explain/shap_interactions.h"
#include "tests/peers/peer_io.h"

namespace trainyard {
namespace {

absl::Status Run(int argc, char** argv) {
  if (argc < 4) return absl::InvalidArgumentError("usage: FOREST.csv ROWS.csv METHOD [BACKGROUND]");
  TY_ASSIGN_OR_RETURN(const TreeEnsemble forest, ReadPeerForest(argv[1]));
  TY_ASSIGN_OR_RETURN(const auto rows, ReadTable(argv[2], {}, {}, 1));
  const std::string method = argv[3];
  const std::vector<FeatureColumn> columns = NumericColumns(*rows);
  const int features = static_cast<int>(columns.size());
  const int64_t count = rows->row_count();
  std::vector<double> values(static_cast<size_t>(count) * columns.size() *
                             (method == "interactions" ? columns.size() : 1));
  ThreadPool pool(1);
  StopToken stop({});
  double base = 0;
  const double start = CpuSeconds();
  if (method == "interventional") {
    TY_ASSIGN_OR_RETURN(const auto background, ReadTable(argv[4], {}, {}, 1));
    const InterventionalShap shap(forest, features, NumericColumns(*background), 0,
                                  background->row_count(), count, stop);
    base = shap.base()[0];
    TY_RETURN_IF_ERROR(shap.Explain(columns, 0, count, pool, stop, values));
  } else if (method == "interactions") {
    const ShapInteractions shap(forest, features, stop);
    base = shap.shap().base()[0];
    TY_RETURN_IF_ERROR(shap.Explain(columns, 0, count, pool, stop, values));
  } else {
    const PathShap shap(forest, features, stop);
    base = shap.base()[0];
    TY_RETURN_IF_ERROR(shap.Explain(columns, 0, count, pool, stop, values));
  }
  std::printf("{\"seconds\": %.9g, \"base\": %.17g, ", CpuSeconds() - start, base);
  PrintNumbers("values", values);
  std::printf("}\n");
  return absl::OkStatus();
}

}  // namespace
}  // namespace trainyard

int main(int argc, char** argv) { return trainyard::RunDriver(trainyard::Run, argc, argv); }
