// Input and output that the peer drivers share.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/data/table.h"
#include "core/trees/ensemble.h"
#include "google/protobuf/message.h"

namespace trainyard {

// All columns of a table of numbers as features.
std::vector<FeatureColumn> NumericColumns(const Table& table);

// A table of numbers whose last column is the target.
struct PeerRows {
  std::shared_ptr<const Table> table;
  std::vector<FeatureColumn> features;
  std::span<const double> target;

  std::vector<int32_t> Classes() const { return {target.begin(), target.end()}; }
};
absl::StatusOr<PeerRows> ReadPeerRows(const std::filesystem::path& file);

// A forest of another library: a table with the columns tree, left, right, feature, threshold,
// weight, and value (or value0, value1, … for several outputs), one line per node. Values are the
// means, too.
absl::StatusOr<TreeEnsemble> ReadPeerForest(const std::filesystem::path& file);

// A message in JSON.
absl::Status ReadPeerOptions(const std::filesystem::path& file, google::protobuf::Message& message);

// Prints "name": [numbers] in JSON.
void PrintNumbers(const char* name, std::span<const double> numbers);

// Processor time of all threads.
double CpuSeconds();

// Runs a driver and tells its error.
int RunDriver(absl::Status (*run)(int, char**), int argc, char** argv);

}  // namespace trainyard
