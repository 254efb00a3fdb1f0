#include "core/trees/row_block.h"

#include <algorithm>
#include <bit>

namespace trainyard {

RowBlock::RowBlock(std::span<const FeatureColumn> features, std::span<const int32_t> used,
                   int64_t rows)
    : features_(features),
      used_(used),
      columns_(std::max<size_t>(used.size(), 1)),
      values_(static_cast<size_t>(rows) * columns_, 0.0F) {}

void RowBlock::LoadRange(int64_t begin, int64_t count) {
  begin_ = begin;
  count_ = count;
  rows_ = {};
  Load([begin](int64_t i) { return static_cast<size_t>(begin + i); });
}

void RowBlock::LoadRows(std::span<const int64_t> rows) {
  count_ = static_cast<int64_t>(rows.size());
  rows_ = rows;
  Load([rows](int64_t i) { return static_cast<size_t>(rows[static_cast<size_t>(i)]); });
}

template <typename RowOf>
void RowBlock::Load(const RowOf& row_of) {
  exact_ = true;
  has_missing_ = false;
  for (size_t c = 0; c < used_.size(); ++c) {
    const FeatureColumn& column = features_[static_cast<size_t>(used_[c])];
    if (column.categorical) {
      LoadCodes(column, row_of, values_.data() + c);
    } else {
      LoadNumbers(column.numbers, row_of, values_.data() + c);
    }
  }
}

template <typename RowOf>
void RowBlock::LoadNumbers(std::span<const double> numbers, const RowOf& row_of, float* out) {
  bool inexact = false;
  bool missing = false;
  for (int64_t i = 0; i < count_; ++i, out += columns_) {
    const double number = numbers[row_of(i)];
    const float rounded = RoundDown(number);
    inexact |= static_cast<double>(rounded) < number;
    missing |= number != number;
    *out = rounded;
  }
  exact_ = exact_ && !inexact;
  has_missing_ = has_missing_ || missing;
}

template <typename RowOf>
void RowBlock::LoadCodes(const FeatureColumn& column, const RowOf& row_of, float* out) {
  bool missing = false;
  for (int64_t i = 0; i < count_; ++i, out += columns_) {
    const int32_t code = column.codes[row_of(i)];
    const bool known = code >= 0 && code < column.level_count;
    missing |= !known;
    *out = std::bit_cast<float>(known ? code : -1);
  }
  has_missing_ = has_missing_ || missing;
}

}  // namespace trainyard
