#include "core/algorithms/quant_bnb/search_node.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace trainyard::quant_bnb {
namespace {

// Memory of so few entries is kept though it be too large.
constexpr size_t kSmall = size_t{1} << 22;

// Gives a vector a size; what it holds is lost. Memory that is half as large again is given back:
// the two sides of a node would grow to its whole size each.
void Fit(std::vector<uint32_t>& entries, size_t size) {
  const size_t room = entries.capacity();
  if (room < size || (room > kSmall && room > size + size / 2)) {
    entries = std::vector<uint32_t>();
    entries.reserve(size);
  }
  entries.resize(size);
}

}  // namespace

void SearchNode::AssignRoot(const SearchProblem& problem) {
  problem_ = &problem;
  root_ = true;
  entries_ = {};
  const size_t count = static_cast<size_t>(problem.row_count());
  rows_.resize(count);
  std::iota(rows_.begin(), rows_.end(), uint32_t{0});
  features_.resize(static_cast<size_t>(problem.feature_count()));
  std::iota(features_.begin(), features_.end(), 0);
  Measure();
}

void SearchNode::Split(const SearchNode& parent, int index, int left_count, SearchNode& left,
                       SearchNode& right, StopToken* stop) {
  const size_t count = parent.rows_.size();
  const std::span<const uint32_t> by_feature = parent.order(index);
  // The side of each row in the highest bit, its number there below.
  static thread_local std::vector<uint32_t> place;
  place.resize(count);
  SearchNode* const sides[2] = {&left, &right};
  const size_t counts[2] = {static_cast<size_t>(left_count),
                            count - static_cast<size_t>(left_count)};
  for (int side = 0; side < 2; ++side) {
    sides[side]->problem_ = parent.problem_;
    sides[side]->root_ = false;
    sides[side]->rows_.resize(counts[side]);
    sides[side]->features_ = parent.features_;
    Fit(sides[side]->entries_, parent.features_.size() * (counts[side] + 1) + 1);
  }
  for (size_t i = 0; i < count; ++i) {
    place[by_feature[i] & kRowMask] = i < counts[0] ? 0 : kLastOfValue;
  }
  uint32_t next[2] = {0, 0};
  for (size_t row = 0; row < count; ++row) {
    const uint32_t side = place[row] >> 31;
    sides[side]->rows_[next[side]] = parent.rows_[row];
    place[row] |= next[side]++;
  }
  for (size_t f = 0; f < parent.features_.size(); ++f) {
    if (stop != nullptr && stop->Ask()) return;
    uint32_t* to[2];
    for (int side = 0; side < 2; ++side) {
      to[side] = sides[side]->entries_.data() + f * (counts[side] + 1);
    }
    for (const uint32_t entry : parent.order(static_cast<int>(f))) {
      const uint32_t at = place[entry & kRowMask];
      const uint32_t side = at >> 31;
      *++to[side] = at & kRowMask;
      // The last row that either side has of this value is the last of its value there.
      const uint32_t last = entry & kLastOfValue;
      *to[0] |= last;
      *to[1] |= last;
    }
  }
  for (SearchNode* side : sides) {
    side->DropConstantFeatures();
    side->Measure();
  }
}

void SearchNode::DropConstantFeatures() {
  const size_t count = rows_.size();
  size_t kept = 0;
  for (size_t f = 0; f < features_.size(); ++f) {
    const uint32_t* const from = entries_.data() + 1 + f * (count + 1);
    // A feature of one value has no end of a value before the last row.
    bool varies = false;
    for (size_t i = 0; i + 1 < count && !varies; ++i) varies = (from[i] & kLastOfValue) != 0;
    if (!varies) continue;
    if (kept != f) {
      std::copy(from, from + count, entries_.data() + 1 + kept * (count + 1));
      features_[kept] = features_[f];
    }
    ++kept;
  }
  features_.resize(kept);
}

void SearchNode::Measure() {
  leaf_loss_ = problem_->LeafLoss(rows_);
  weight_ = 0;
  sample_count_ = 0;
  class_weights_.assign(problem_->classification() ? static_cast<size_t>(problem_->outputs()) : 0,
                        0.0);
  for (const uint32_t row : rows_) {
    weight_ += problem_->weights()[row];
    sample_count_ += problem_->counts()[row];
    if (problem_->classification()) {
      class_weights_[static_cast<size_t>(problem_->classes()[row])] += problem_->weights()[row];
    }
  }
}

}  // namespace trainyard::quant_bnb
