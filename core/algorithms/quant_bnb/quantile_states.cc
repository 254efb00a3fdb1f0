#include "core/algorithms/quant_bnb/quantile_states.h"

#include <algorithm>
#include <utility>

namespace trainyard::quant_bnb {

FeatureSet FeatureSet::All(int count) {
  FeatureSet set;
  for (int feature = 0; feature < count; ++feature) set.Insert(feature);
  return set;
}

void FeatureSet::Insert(int feature) {
  const size_t word = static_cast<size_t>(feature) / 64;
  if (word >= words_.size()) words_.resize(word + 1);
  words_[word] |= uint64_t{1} << (feature % 64);
}

int FeatureSet::size() const {
  int size = 0;
  for (const uint64_t word : words_) size += std::popcount(word);
  return size;
}

FeatureSet FeatureSet::OfWords(std::span<const uint64_t> words) {
  FeatureSet set;
  set.words_.assign(words.begin(), words.end());
  return set;
}

double ChildStates::trees() const {
  double trees = leaf ? 1 : 0;
  for (const PairState& pair : pairs) trees += pair.trees();
  return trees;
}

CutPlan PlanCuts(std::span<const uint32_t> ranks, int parts, CutKind kind) {
  CutPlan plan;
  if (ranks.empty()) return plan;
  const size_t last = ranks.size() - 1;
  const size_t steps = std::min(static_cast<size_t>(parts), last);
  std::vector<size_t> places;
  for (size_t i = 0; i <= steps; ++i) places.push_back(steps == 0 ? 0 : i * last / steps);
  for (const size_t place : places) plan.cuts.push_back(ranks[place]);
  const auto add = [&](size_t first, size_t end, int below, int above) {
    if (first >= end) return;
    plan.parts.push_back(
        {ranks[first], ranks[end - 1], static_cast<uint32_t>(end - first), below, above});
  };
  for (size_t i = 0; i < steps; ++i) {
    const int cut = static_cast<int>(i);
    if (kind == CutKind::kOpenParts) {
      add(places[i] + 1, places[i + 1], cut, cut + 1);
    } else if (places[i + 1] == places[i] + 1) {
      add(places[i], places[i] + 1, cut, cut);
    } else {
      add(places[i], places[i + 1], cut, cut + 1);
    }
  }
  if (kind == CutKind::kClosedParts) {
    add(last, last + 1, static_cast<int>(steps), static_cast<int>(steps));
  }
  return plan;
}

CutPlan SingleCut(uint32_t rank) { return {{rank}, {{rank, rank, 1, 0, 0}}}; }

RankIndex::RankIndex(const SearchProblem& problem)
    : problem_(problem), starts_(static_cast<size_t>(problem.feature_count())) {
  for (int f = 0; f < problem.feature_count(); ++f) {
    const std::span<const uint32_t> order = problem.order(f);
    std::vector<uint32_t>& starts = starts_[static_cast<size_t>(f)];
    starts.push_back(0);
    for (size_t i = 0; i < order.size(); ++i) {
      if ((order[i] & kLastOfValue) != 0) starts.push_back(static_cast<uint32_t>(i) + 1);
    }
  }
}

std::vector<uint32_t> RankIndex::Present(int feature, uint32_t lo, uint32_t hi,
                                         const Region& region) const {
  const std::span<const uint32_t> order = problem_.order(feature);
  const std::vector<uint32_t>& starts = starts_[static_cast<size_t>(feature)];
  const auto holds_row = [&](uint32_t begin, uint32_t end) {
    return std::any_of(order.begin() + begin, order.begin() + end,
                       [&](uint32_t entry) { return region.Contains(problem_, entry & kRowMask); });
  };
  std::vector<uint32_t> ranks;
  for (uint32_t rank = lo; rank <= hi; ++rank) {
    if (holds_row(starts[rank], starts[rank + 1])) ranks.push_back(rank);
  }
  if (!ranks.empty() && !holds_row(starts[hi + 1], starts.back())) ranks.pop_back();
  return ranks;
}

std::vector<PairState> AllPairs(const RankIndex& index, int features) {
  std::vector<PairState> states;
  for (int f = 0; f < features; ++f) {
    PairState state;
    state.feature = f;
    state.size = static_cast<uint32_t>(index.distinct(f) - 1);
    state.hi = state.size - 1;
    state.left = state.right = FeatureSet::All(features);
    states.push_back(std::move(state));
  }
  return states;
}

namespace {

// Reads an interval of thresholds that the feature has.
template <typename State>
void TakeInterval(const RankIndex& index, int features, ByteReader& reader, State& state) {
  state.feature = reader.Take<int32_t>();
  state.lo = reader.Take<uint32_t>();
  state.hi = reader.Take<uint32_t>();
  state.bound = reader.Take<double>();
  if (state.feature < 0 || state.feature >= features || state.lo > state.hi ||
      int64_t{state.hi} + 1 >= index.distinct(state.feature)) {
    reader.Fail();
  }
}

FeatureSet TakeFeatures(int features, ByteReader& reader) {
  const FeatureSet set = FeatureSet::OfWords(reader.TakeList<uint64_t>());
  set.ForEach([&](int feature) {
    if (feature >= features) reader.Fail();
  });
  return set;
}

template <typename State>
void PutInterval(const State& state, ByteWriter& writer) {
  writer.Put(static_cast<int32_t>(state.feature));
  writer.Put(state.lo);
  writer.Put(state.hi);
  writer.Put(state.bound);
}

void PutChild(const ChildStates& child, ByteWriter& writer) {
  writer.Put(static_cast<uint8_t>(child.leaf ? 1 : 0));
  writer.Put(static_cast<uint64_t>(child.pairs.size()));
  for (const PairState& pair : child.pairs) PutPair(pair, writer);
}

ChildStates TakeChild(const RankIndex& index, int features, ByteReader& reader) {
  ChildStates child;
  child.leaf = reader.Take<uint8_t>() != 0;
  const uint64_t count = reader.Take<uint64_t>();
  for (uint64_t i = 0; reader.ok() && i < count; ++i) {
    child.pairs.push_back(TakePair(index, features, reader));
  }
  return child;
}

}  // namespace

void PutPair(const PairState& state, ByteWriter& writer) {
  PutInterval(state, writer);
  writer.Put(state.size);
  writer.Put(static_cast<uint8_t>(state.fixed ? 1 : 0));
  writer.PutList(state.left.words());
  writer.PutList(state.right.words());
}

PairState TakePair(const RankIndex& index, int features, ByteReader& reader) {
  PairState state;
  TakeInterval(index, features, reader, state);
  state.size = reader.Take<uint32_t>();
  state.fixed = reader.Take<uint8_t>() != 0;
  state.left = TakeFeatures(features, reader);
  state.right = TakeFeatures(features, reader);
  return state;
}

void PutRoot(const RootState& state, ByteWriter& writer) {
  PutInterval(state, writer);
  PutChild(state.left, writer);
  PutChild(state.right, writer);
}

RootState TakeRoot(const RankIndex& index, int features, ByteReader& reader) {
  RootState state;
  TakeInterval(index, features, reader, state);
  state.left = TakeChild(index, features, reader);
  state.right = TakeChild(index, features, reader);
  return state;
}

}  // namespace trainyard::quant_bnb
