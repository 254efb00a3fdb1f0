#include "core/trees/boosting/row_partition.h"

#include <algorithm>
#include <array>

namespace trainyard {
namespace {

constexpr size_t kRowsPerPart = size_t{1} << 15;

}  // namespace

void RowPartition::Reset(std::span<const uint32_t> rows) {
  size_ = rows.size();
  rows_.assign(size_ + kRowsReadAhead, 0);
  std::copy(rows.begin(), rows.end(), rows_.begin());
  left_.resize(size_);
  right_.resize(size_);
  contiguous_ = true;
  for (size_t i = 0; i < size_ && contiguous_; ++i) contiguous_ = rows[i] == i;
}

void RowPartition::SplitPart(const uint64_t* codes, int shift, const uint8_t* goes_left,
                             Part& part) {
  uint32_t* left = left_.data() + part.begin;
  uint32_t* right = right_.data() + part.begin;
  size_t left_count = 0;
  for (size_t i = part.begin; i < part.end; ++i) {
    const uint32_t row = rows_[i];
    __builtin_prefetch(codes + rows_[i + kRowsReadAhead]);
    const size_t goes = goes_left[codes[row] >> shift & 0xFF];
    left[left_count] = row;
    right[i - part.begin - left_count] = row;
    left_count += goes;
  }
  part.left = left_count;
}

size_t RowPartition::Split(size_t begin, size_t end, int32_t feature, const CodeSet& left_codes) {
  contiguous_ = false;
  std::array<uint8_t, 256> goes_left{};
  for (size_t code = 0; code < 256; ++code) goes_left[code] = left_codes.Contains(code) ? 1 : 0;
  const uint64_t* codes = features_.block(feature / BinnedFeatures::kBlockFeatures);
  const int shift = 8 * (feature % BinnedFeatures::kBlockFeatures);
  const size_t count = end - begin;
  const size_t parts =
      std::clamp<size_t>(count / kRowsPerPart, 1, static_cast<size_t>(pool_.threads()));
  std::vector<Part> split(parts);
  for (size_t p = 0; p < parts; ++p) {
    split[p].begin = begin + count * p / parts;
    split[p].end = begin + count * (p + 1) / parts;
  }
  pool_.Run(static_cast<int64_t>(parts), [&](int64_t p, int) {
    SplitPart(codes, shift, goes_left.data(), split[static_cast<size_t>(p)]);
  });
  size_t middle = begin;
  for (const Part& part : split) middle += part.left;
  pool_.Run(static_cast<int64_t>(parts), [&](int64_t index, int) {
    size_t left_to = begin;
    size_t right_to = middle;
    for (size_t p = 0; p < static_cast<size_t>(index); ++p) {
      left_to += split[p].left;
      right_to += split[p].end - split[p].begin - split[p].left;
    }
    const Part& part = split[static_cast<size_t>(index)];
    std::copy_n(left_.data() + part.begin, part.left, rows_.data() + left_to);
    std::copy_n(right_.data() + part.begin, part.end - part.begin - part.left,
                rows_.data() + right_to);
  });
  return middle;
}

}  // namespace trainyard
