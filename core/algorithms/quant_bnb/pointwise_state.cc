#include "core/algorithms/quant_bnb/pointwise_state.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/algorithms/quant_bnb/state_bytes.h"

namespace trainyard::quant_bnb {
namespace {

constexpr uint64_t kMagic = 0x3174696f70515954;  // "TYQpoit1"

void PutCuts(const KnownCuts& cuts, ByteWriter& writer) {
  writer.Put(cuts.whole);
  writer.PutList(cuts.begin);
  writer.Put(static_cast<uint64_t>(cuts.cuts.size()));
  for (const KnownCut& cut : cuts.cuts) {
    writer.Put(cut.rank);
    writer.Put(cut.left);
    writer.Put(cut.right);
  }
}

KnownCuts TakeCuts(const SearchProblem& problem, ByteReader& reader) {
  KnownCuts cuts;
  cuts.whole = reader.Take<double>();
  cuts.begin = reader.TakeList<int32_t>();
  const uint64_t count = reader.Take<uint64_t>();
  for (uint64_t i = 0; reader.ok() && i < count; ++i) {
    KnownCut cut{};
    cut.rank = reader.Take<uint32_t>();
    cut.left = reader.Take<double>();
    cut.right = reader.Take<double>();
    cuts.cuts.push_back(cut);
  }
  const size_t features = static_cast<size_t>(problem.feature_count());
  bool fits = cuts.begin.empty() || cuts.begin.size() == features + 1;
  for (size_t f = 0; fits && f < cuts.begin.size(); ++f) {
    fits = cuts.begin[f] >= (f == 0 ? 0 : cuts.begin[f - 1]) &&
           static_cast<uint64_t>(cuts.begin[f]) <= count;
  }
  if (!fits) reader.Fail();
  return cuts;
}

// Whether the order of a feature can be cut after a place.
bool IsThreshold(const SearchProblem& problem, int feature, int place) {
  return feature >= 0 && feature < problem.feature_count() && place >= 0 &&
         place + 1 < problem.row_count() &&
         (problem.order(feature)[static_cast<size_t>(place)] & kLastOfValue) != 0;
}

PointwiseState::Record TakeRecord(const SearchProblem& problem, ByteReader& reader) {
  PointwiseState::Record record;
  record.feature = reader.Take<int32_t>();
  record.place = reader.Take<int32_t>();
  record.evaluation.left = reader.Take<double>();
  record.evaluation.right = reader.Take<double>();
  for (KnownCuts& cuts : record.evaluation.cuts) cuts = TakeCuts(problem, reader);
  if (!IsThreshold(problem, record.feature, record.place)) reader.Fail();
  return record;
}

}  // namespace

std::string EncodeState(const PointwiseState& state, uint64_t fingerprint) {
  ByteWriter writer = BeginState(kMagic, fingerprint);
  PutCourse(state.course, writer);
  writer.Put(static_cast<int32_t>(state.depth));
  writer.Put(state.whole);
  writer.Put(static_cast<int32_t>(state.whole_feature));
  writer.Put(static_cast<int32_t>(state.whole_place));
  writer.Put(static_cast<uint64_t>(state.records.size()));
  for (const PointwiseState::Record& record : state.records) {
    writer.Put(static_cast<int32_t>(record.feature));
    writer.Put(static_cast<int32_t>(record.place));
    writer.Put(record.evaluation.left);
    writer.Put(record.evaluation.right);
    for (const KnownCuts& cuts : record.evaluation.cuts) PutCuts(cuts, writer);
  }
  return std::move(writer).Seal();
}

std::optional<PointwiseState> DecodePointwiseState(const SearchProblem& problem,
                                                   uint64_t fingerprint, std::string_view bytes) {
  ByteReader reader = OpenState(bytes, kMagic, fingerprint);
  PointwiseState state;
  state.course = TakeCourse(problem, reader);
  state.depth = reader.Take<int32_t>();
  state.whole = reader.Take<double>();
  state.whole_feature = reader.Take<int32_t>();
  state.whole_place = reader.Take<int32_t>();
  const uint64_t count = reader.Take<uint64_t>();
  for (uint64_t i = 0; reader.ok() && i < count; ++i) {
    state.records.push_back(TakeRecord(problem, reader));
  }
  const bool whole_fits =
      state.whole_feature < 0 || IsThreshold(problem, state.whole_feature, state.whole_place);
  if (!reader.done() || !whole_fits) return std::nullopt;
  return state;
}

}  // namespace trainyard::quant_bnb
