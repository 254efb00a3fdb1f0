// explain_peer_driver FOREST.csv ROWS.csv METHOD [BACKGROUND.csv]
//
// Explains a forest of another library. FOREST.csv has the columns tree, left, right, feature,
// threshold, weight, value (one output), one line per node; ROWS.csv one column per feature. METHOD
// is shap, interventional or interactions. Prints JSON: base value, SHAP (or interaction) values
// row by row, and the CPU seconds that explaining took on one thread.
#include <sys/resource.h>

#include <cstdio>
#include <iostream>
#include <string>

#include "core/base/status.h"
#include "core/data/table.h"
#include "core/trees/explain/interventional_shap.h"
#include "core/trees/explain/path_shap.h"
#include "core/trees/explain/shap_interactions.h"

namespace trainyard {
namespace {

double CpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec) * 1e-6;
}

TreeEnsemble ReadForest(const Table& table) {
  TreeEnsemble ensemble;
  const auto column = [&](const char* name) { return table.numbers(*table.FindColumn(name)); };
  const auto tree = column("tree");
  for (size_t i = 0; i < tree.size(); ++i) {
    if (static_cast<size_t>(tree[i]) == ensemble.trees.size()) ensemble.trees.emplace_back();
    Tree& own = ensemble.trees.back();
    own.left.push_back(static_cast<int32_t>(column("left")[i]));
    own.right.push_back(static_cast<int32_t>(column("right")[i]));
    own.feature.push_back(own.left.back() < 0 ? -1 : static_cast<int32_t>(column("feature")[i]));
    own.threshold.push_back(column("threshold")[i]);
    own.missing_left.push_back(0);
    own.weight.push_back(column("weight")[i]);
    own.value.push_back(column("value")[i]);
  }
  return ensemble;
}

std::vector<FeatureColumn> ColumnsOf(const Table& table) {
  std::vector<FeatureColumn> columns;
  for (int c = 0; c < table.column_count(); ++c) {
    columns.push_back(FeatureColumn::Numeric(table.numbers(c)));
  }
  return columns;
}

absl::Status Run(int argc, char** argv) {
  if (argc < 4) return absl::InvalidArgumentError("usage: FOREST.csv ROWS.csv METHOD [BACKGROUND]");
  TY_ASSIGN_OR_RETURN(const auto nodes, ReadTable(argv[1], {}, {}, 1));
  TY_ASSIGN_OR_RETURN(const auto rows, ReadTable(argv[2], {}, {}, 1));
  const std::string method = argv[3];
  const TreeEnsemble forest = ReadForest(*nodes);
  const std::vector<FeatureColumn> columns = ColumnsOf(*rows);
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
    const InterventionalShap shap(forest, features, ColumnsOf(*background), 0,
                                  background->row_count());
    base = shap.base()[0];
    TY_RETURN_IF_ERROR(shap.Explain(columns, 0, count, pool, stop, values));
  } else if (method == "interactions") {
    const ShapInteractions shap(forest, features);
    base = shap.shap().base()[0];
    TY_RETURN_IF_ERROR(shap.Explain(columns, 0, count, pool, stop, values));
  } else {
    const PathShap shap(forest, features);
    base = shap.base()[0];
    TY_RETURN_IF_ERROR(shap.Explain(columns, 0, count, pool, stop, values));
  }
  std::printf("{\"seconds\": %.9g, \"base\": %.17g, \"values\": [", CpuSeconds() - start, base);
  for (size_t i = 0; i < values.size(); ++i) std::printf("%s%.17g", i > 0 ? "," : "", values[i]);
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
