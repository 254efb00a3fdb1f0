#include "tests/peers/peer_io.h"

#include <cstdio>
#include <ctime>
#include <iostream>
#include <string>

#include "core/base/file_system.h"
#include "core/base/status.h"
#include "google/protobuf/util/json_util.h"

namespace trainyard {

std::vector<FeatureColumn> NumericColumns(const Table& table) {
  std::vector<FeatureColumn> columns;
  for (int c = 0; c < table.column_count(); ++c) {
    columns.push_back(FeatureColumn::Numeric(table.numbers(c)));
  }
  return columns;
}

absl::StatusOr<PeerRows> ReadPeerRows(const std::filesystem::path& file) {
  PeerRows rows;
  TY_ASSIGN_OR_RETURN(rows.table, ReadTable(file, {}, {}, 1));
  rows.features = NumericColumns(*rows.table);
  rows.target = rows.features.back().numbers;
  rows.features.pop_back();
  return rows;
}

absl::StatusOr<TreeEnsemble> ReadPeerForest(const std::filesystem::path& file) {
  TY_ASSIGN_OR_RETURN(const std::shared_ptr<const Table> table, ReadTable(file, {}, {}, 1));
  std::vector<std::span<const double>> values;
  for (int c = 0; c < table->column_count(); ++c) {
    if (table->schema().columns(c).name().starts_with("value")) values.push_back(table->numbers(c));
  }
  TreeEnsemble ensemble;
  ensemble.outputs = static_cast<int>(values.size());
  const auto column = [&](const char* name) { return table->numbers(*table->FindColumn(name)); };
  const auto tree = column("tree");
  const auto left = column("left");
  const auto right = column("right");
  const auto feature = column("feature");
  const auto threshold = column("threshold");
  const auto weight = column("weight");
  for (size_t i = 0; i < tree.size(); ++i) {
    if (static_cast<size_t>(tree[i]) == ensemble.trees.size()) {
      ensemble.trees.emplace_back().outputs = ensemble.outputs;
    }
    Tree& own = ensemble.trees.back();
    own.left.push_back(static_cast<int32_t>(left[i]));
    own.right.push_back(static_cast<int32_t>(right[i]));
    own.feature.push_back(own.left.back() < 0 ? -1 : static_cast<int32_t>(feature[i]));
    own.threshold.push_back(threshold[i]);
    own.missing_left.push_back(0);
    own.weight.push_back(weight[i]);
    for (const std::span<const double> value : values) own.mean.push_back(value[i]);
  }
  for (Tree& own : ensemble.trees) own.value = own.mean;
  return ensemble;
}

absl::Status ReadPeerOptions(const std::filesystem::path& file,
                             google::protobuf::Message& message) {
  TY_ASSIGN_OR_RETURN(const std::string json, ReadFile(file));
  if (google::protobuf::util::JsonStringToMessage(json, &message).ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(file.string() + " is no " + message.GetTypeName());
}

void PrintNumbers(const char* name, std::span<const double> numbers) {
  std::printf("\"%s\": [", name);
  for (size_t i = 0; i < numbers.size(); ++i) std::printf("%s%.17g", i > 0 ? "," : "", numbers[i]);
  std::printf("]");
}

double CpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

int RunDriver(absl::Status (*run)(int, char**), int argc, char** argv) {
  const absl::Status status = run(argc, argv);
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}

}  // namespace trainyard
