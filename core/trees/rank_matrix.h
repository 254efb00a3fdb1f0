// The features by row, for learners that look at few features of a node.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/trees/presort.h"

namespace trainyard {

// Ranks as in PresortedFeatures by row, or for numbers the values themselves. Immutable and
// thread-safe. Memory: per row and feature 4 bytes for values where all of the feature are floats,
// else 8; 2 for less than 65536 ranks, else 4. `features` must outlive it.
class RankMatrix {
 public:
  enum class Numbers { kAsRanks, kAsValues };

  RankMatrix(const PresortedFeatures& features, Numbers numbers, ThreadPool& pool);

  const PresortedFeatures& features() const { return *features_; }
  int feature_count() const { return features_->feature_count(); }
  int64_t row_count() const { return features_->row_count(); }
  // Whether a feature is held as values.
  bool has_values(int feature) const {
    return !At(feature).values.empty() || !At(feature).floats.empty();
  }
  // The value of a feature held as values; NaN where missing.
  double value(int feature, uint32_t row) const {
    const Column& column = At(feature);
    return column.floats.empty() ? column.values[row] : static_cast<double>(column.floats[row]);
  }
  // The rank of a feature held as ranks.
  uint32_t rank(int feature, uint32_t row) const {
    const Column& column = At(feature);
    return column.narrow.empty() ? column.wide[row] : column.narrow[row];
  }
  // Writes the ranks, or the values, of `rows` by a feature to `to`.
  void Gather(int feature, std::span<const uint32_t> rows, uint32_t* to) const;
  void Gather(int feature, std::span<const uint32_t> rows, double* to) const;

 private:
  struct Column {
    std::vector<uint16_t> narrow;  // one of the four is in use
    std::vector<uint32_t> wide;
    std::vector<float> floats;
    std::vector<double> values;
  };
  const Column& At(int feature) const { return columns_[static_cast<size_t>(feature)]; }

  const PresortedFeatures* features_;
  std::vector<Column> columns_;
};

}  // namespace trainyard
