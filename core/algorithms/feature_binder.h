// The columns of a table as a tree model wants them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "core/data/table.h"
#include "core/trees/tree.h"
#include "trainyard/v1/tree.pb.h"

namespace trainyard {

// Columns in the order of the model's features, with what had to be made for that; they point into
// the table, which must outlive them, and into the other members.
struct BoundFeatures {
  std::vector<FeatureColumn> columns;
  std::vector<std::vector<int32_t>> codes;
  std::vector<double> missing_numbers;
};

// Finds columns by name and levels of categories by text. Immutable and thread-safe.
class FeatureBinder {
 public:
  // Keeps the features of `model`.
  explicit FeatureBinder(const v1::TreeModel& model);

  // Levels that the model does not know count as missing, columns without any value fit every type.
  // Numbers are not copied. INVALID_ARGUMENT with a violation for each column that is absent or of
  // another type.
  absl::StatusOr<BoundFeatures> Bind(const Table& table) const;

 private:
  void BindMissing(const v1::ColumnSchema& learned, int64_t rows, BoundFeatures& bound,
                   size_t feature) const;
  void BindLevels(const Table& table, int column, BoundFeatures& bound, size_t feature) const;

  const std::vector<v1::ColumnSchema> features_;
  std::vector<absl::flat_hash_map<std::string, int32_t>> level_codes_;
};

}  // namespace trainyard
