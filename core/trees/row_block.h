// Rows copied together for prediction.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/trees/tree.h"

namespace trainyard {

// The values of some rows in some features, [row][column] row-major: 4 bytes each, so that a row
// fills few cache lines. Numbers are rounded down to floats: two of them compare as floats the way
// they compare as doubles unless they round to the same float, which the walk settles by Exact().
// Level codes are stored as bits; whatever is missing is NaN.
class RowBlock {
 public:
  // Room for `rows` rows of the features `used`, which are indices into `features`. The spans
  // outlive the block.
  RowBlock(std::span<const FeatureColumn> features, std::span<const int32_t> used, int64_t rows);

  // Copies table rows [begin, begin + count).
  void LoadRange(int64_t begin, int64_t count);
  // Copies the given table rows, which outlive the next load.
  void LoadRows(std::span<const int64_t> rows);

  int64_t row_count() const { return count_; }
  size_t columns() const { return columns_; }
  const float* row(int64_t i) const { return values_.data() + static_cast<size_t>(i) * columns_; }
  // Whether all numbers are floats.
  bool exact() const { return exact_; }
  bool has_missing() const { return has_missing_; }
  // The number in column `column` of row `i` as it is in the table.
  double Exact(int64_t i, size_t column) const {
    const size_t row = rows_.empty() ? static_cast<size_t>(begin_ + i)
                                     : static_cast<size_t>(rows_[static_cast<size_t>(i)]);
    return features_[static_cast<size_t>(used_[column])].numbers[row];
  }

 private:
  template <typename RowOf>
  void Load(const RowOf& row_of);
  template <typename RowOf>
  void LoadNumbers(std::span<const double> numbers, const RowOf& row_of, float* out);
  template <typename RowOf>
  void LoadCodes(const FeatureColumn& column, const RowOf& row_of, float* out);

  const std::span<const FeatureColumn> features_;
  const std::span<const int32_t> used_;
  const size_t columns_;
  std::vector<float> values_;
  int64_t begin_ = 0;
  int64_t count_ = 0;
  std::span<const int64_t> rows_;
  bool exact_ = true;
  bool has_missing_ = false;
};

// The greatest float that is not above `value`; NaN for NaN.
inline float RoundDown(double value) {
  const float nearest = static_cast<float>(value);
  if (!(static_cast<double>(nearest) > value)) return nearest;
  return std::nextafterf(nearest, -HUGE_VALF);
}

}  // namespace trainyard
