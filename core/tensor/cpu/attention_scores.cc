#include "core/tensor/cpu/attention_scores.h"

#include <utility>

namespace trainyard::cpu_attention {
namespace {

Tensor ContiguousOrUndefined(const Tensor& tensor) {
  return tensor.defined() ? tensor.Contiguous() : Tensor();
}

std::pair<int32_t, int32_t> RangeOf(const int32_t* values, int64_t n) {
  int32_t low = values[0];
  int32_t high = values[0];
  for (int64_t i = 1; i < n; ++i) {
    low = std::min(low, values[i]);
    high = std::max(high, values[i]);
  }
  return {low, high};
}

}  // namespace

AttentionMask::AttentionMask(const AttentionArguments& arguments)
    : rows_(arguments.q.size(2)),
      keys_(arguments.k.size(2)),
      causal_(arguments.causal),
      query_segments_(ContiguousOrUndefined(arguments.query_segments)),
      key_segments_(ContiguousOrUndefined(arguments.key_segments)),
      key_mask_(ContiguousOrUndefined(arguments.key_mask)) {}

const int32_t* AttentionMask::QuerySegments(const ScoreTile& tile) const {
  if (!query_segments_.defined()) return nullptr;
  return query_segments_.data<int32_t>() + tile.batch * rows_ + tile.row;
}

const int32_t* AttentionMask::KeySegments(const ScoreTile& tile) const {
  if (!key_segments_.defined()) return nullptr;
  return key_segments_.data<int32_t>() + tile.batch * keys_ + tile.key;
}

const uint8_t* AttentionMask::KeyMask(const ScoreTile& tile) const {
  if (!key_mask_.defined()) return nullptr;
  return key_mask_.data<uint8_t>() + tile.batch * keys_ + tile.key;
}

Visibility AttentionMask::Of(const ScoreTile& tile) const {
  Visibility visibility = Visibility::kAll;
  if (query_segments_.defined()) {
    const auto [query_low, query_high] = RangeOf(QuerySegments(tile), tile.rows);
    const auto [key_low, key_high] = RangeOf(KeySegments(tile), tile.keys);
    if (query_high < key_low || key_high < query_low) return Visibility::kNothing;
    if (query_low != query_high || key_low != key_high) visibility = Visibility::kSome;
  }
  if (key_mask_.defined()) {
    const uint8_t* mask = KeyMask(tile);
    const int64_t hidden = std::count(mask, mask + tile.keys, uint8_t{0});
    if (hidden == tile.keys) return Visibility::kNothing;
    if (hidden > 0) visibility = Visibility::kSome;
  }
  return visibility;
}

}  // namespace trainyard::cpu_attention
