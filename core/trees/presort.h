// Every feature of a training set sorted once, for all trees grown on its rows.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/thread_pool.h"
#include "core/trees/tree.h"

namespace trainyard {

// One row in a feature's order.
struct OrderEntry {
  uint32_t row;   // index among the rows of the training set
  uint32_t rank;  // number of distinct smaller values, or the level code
};

// The orders of all features. Immutable and thread-safe. Memory: 8 bytes per row and feature, and 8
// per distinct number.
class PresortedFeatures {
 public:
  // Sorts `rows` (indices into the columns) by each feature; at most 2^31 - 1 rows. Radix sort:
  // linear in the rows. Returns what `check` returns when that is not OK.
  static absl::StatusOr<PresortedFeatures> Build(std::span<const FeatureColumn> features,
                                                 std::span<const int64_t> rows, ThreadPool& pool,
                                                 const std::function<absl::Status()>& check);

  int feature_count() const { return static_cast<int>(features_.size()); }
  int64_t row_count() const { return row_count_; }
  bool categorical(int feature) const { return At(feature).categorical; }
  // Rows by ascending rank, missing values last.
  std::span<const OrderEntry> order(int feature) const { return At(feature).order; }
  // Rank of missing values: above all others.
  uint32_t missing_rank(int feature) const { return At(feature).missing_rank; }
  // The value of each rank of a numeric feature, ascending.
  std::span<const double> values(int feature) const { return At(feature).values; }

 private:
  struct Feature {
    std::vector<OrderEntry> order;
    std::vector<double> values;
    uint32_t missing_rank = 0;
    bool categorical = false;
  };
  const Feature& At(int feature) const { return features_[static_cast<size_t>(feature)]; }

  std::vector<Feature> features_;
  int64_t row_count_ = 0;
};

}  // namespace trainyard
