#include "core/algorithms/quant_bnb/quantile_rounds.h"

#include <algorithm>
#include <utility>

#include "core/algorithms/quant_bnb/state_bytes.h"
#include "core/base/status.h"

namespace trainyard::quant_bnb {
namespace {

constexpr uint64_t kMagic = 0x31304e51424e5551;  // "QUNBQN01"
// States of two levels that a checkpoint holds; about 70 bytes each.
constexpr size_t kMostStates = 500'000;

size_t CountPairs(const QuantileState& state) {
  size_t count = state.next_pairs.size();
  for (const std::vector<PairState>& block : state.blocks) count += block.size();
  for (const std::vector<RootState>* roots : {&state.roots, &state.next_roots}) {
    for (const RootState& root : *roots) count += root.left.pairs.size() + root.right.pairs.size();
  }
  return count;
}

template <typename State, typename Put>
void PutAll(const std::vector<State>& states, ByteWriter& writer, Put put) {
  writer.Put(static_cast<uint64_t>(states.size()));
  for (const State& state : states) put(state, writer);
}

template <typename State, typename Take>
std::vector<State> TakeAll(ByteReader& reader, Take take) {
  std::vector<State> states;
  const uint64_t count = reader.Take<uint64_t>();
  for (uint64_t i = 0; reader.ok() && i < count; ++i) states.push_back(take());
  return states;
}

}  // namespace

std::string EncodeState(const QuantileContext& context, const QuantileState& state,
                        const CourseState& course) {
  ByteWriter writer = BeginState(kMagic, context.fingerprint);
  PutCourse(course, writer);
  const bool whole = CountPairs(state) <= kMostStates;
  writer.Put(static_cast<uint8_t>(whole ? 1 : 0));
  if (!whole) return std::move(writer).Seal();
  writer.Put(state.pass);
  writer.Put(static_cast<uint8_t>(state.solving ? 1 : 0));
  PutAll(state.blocks, writer,
         [](const std::vector<PairState>& block, ByteWriter& to) { PutAll(block, to, PutPair); });
  PutAll(state.next_pairs, writer, PutPair);
  PutAll(state.roots, writer, PutRoot);
  PutAll(state.next_roots, writer, PutRoot);
  return std::move(writer).Seal();
}

std::optional<ResumedState> DecodeState(const SearchProblem& problem, const RankIndex& index,
                                        uint64_t fingerprint, std::string_view bytes) {
  ByteReader reader = OpenState(bytes, kMagic, fingerprint);
  ResumedState resumed;
  resumed.course = TakeCourse(problem, reader);
  if (reader.Take<uint8_t>() != 0) {
    const int features = problem.feature_count();
    const auto take_pair = [&] { return TakePair(index, features, reader); };
    const auto take_root = [&] { return TakeRoot(index, features, reader); };
    QuantileState state;
    state.pass = reader.Take<int64_t>();
    state.solving = reader.Take<uint8_t>() != 0;
    state.blocks = TakeAll<std::vector<PairState>>(
        reader, [&] { return TakeAll<PairState>(reader, take_pair); });
    state.next_pairs = TakeAll<PairState>(reader, take_pair);
    state.roots = TakeAll<RootState>(reader, take_root);
    state.next_roots = TakeAll<RootState>(reader, take_root);
    resumed.state = std::move(state);
  }
  if (!reader.done()) return std::nullopt;
  return resumed;
}

absl::StatusOr<v1::QuantBnbReport::Status> EndRound(QuantileContext& context,
                                                    const QuantileState& state, double least_alive,
                                                    int64_t alive) {
  SearchCourse& course = context.course;
  TY_RETURN_IF_ERROR(course.status());
  course.SetLeastAlive(least_alive);
  course.SetAlive(alive);
  course.ReportIfDue();
  if (course.Ask()) TY_RETURN_IF_ERROR(course.status());
  if (const auto limit = course.Limit(); limit.has_value()) {
    if (*limit == v1::QuantBnbReport::STATUS_OPTIMAL) {
      // No tree that is left is better.
      course.counters().set_pruned(course.counters().pruned() + alive);
      course.SetAlive(0);
    }
    return *limit;
  }
  TY_RETURN_IF_ERROR(course.CheckpointIfDue(
      [&](const CourseState& at) { return EncodeState(context, state, at); }));
  return v1::QuantBnbReport::STATUS_UNSPECIFIED;
}

void OfferTree(QuantileContext& context, const SearchTree& tree) {
  const SearchProblem& problem = context.problem;
  context.course.Offer(tree, problem.Loss(tree) + problem.split_penalty() * tree.splits());
}

void AddWork(const WorkCounters& work, int64_t evaluated, v1::SearchCounters& counters) {
  counters.set_evaluated(counters.evaluated() + evaluated);
  counters.set_subproblems(counters.subproblems() + work.subproblems);
  counters.set_batches(counters.batches() + work.batches);
  counters.set_pruned(counters.pruned() + work.pruned);
  counters.set_screened_features(counters.screened_features() + work.screened_features);
}

}  // namespace trainyard::quant_bnb
