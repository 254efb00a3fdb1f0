#include "core/algorithms/quant_bnb/checkpoint.h"

#include <utility>

#include "core/base/byte_stream.h"
#include "core/trees/tree_proto.h"

namespace trainyard {
namespace {

// Layout: magic, fingerprint, seconds; number of steps, and for each its tree and its counters as
// texts, its tolerance and its distinct rows; whether there is a search, and its state as a text;
// checksum.
constexpr uint64_t kMagic = 0x314b435051425151;  // "QQBQPCK1"

template <typename Message>
bool Parse(std::string_view bytes, Message& message) {
  constexpr size_t kLargest = size_t{1} << 31;
  return bytes.size() < kLargest &&
         message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

bool TakeStep(ByteReader& reader, const v1::TreeModel& model, SearchCheckpoint& checkpoint) {
  v1::DecisionTree message;
  LookaheadStep step;
  if (!Parse(reader.TakeText(), message) || !Parse(reader.TakeText(), step.counters)) return false;
  if (!reader.ok()) return false;
  absl::StatusOr<Tree> tree = TreeFromProto(message, model);
  if (!tree.ok()) return false;
  step.tree = *std::move(tree);
  step.tolerance = reader.Take<double>();
  step.distinct_rows = reader.Take<int64_t>();
  checkpoint.steps.push_back(std::move(step));
  return true;
}

}  // namespace

std::string EncodeSearchCheckpoint(const SearchCheckpoint& checkpoint, uint64_t fingerprint) {
  ByteWriter bytes;
  bytes.Put(kMagic);
  bytes.Put(fingerprint);
  bytes.Put(checkpoint.seconds);
  bytes.Put(static_cast<uint64_t>(checkpoint.steps.size()));
  for (const LookaheadStep& step : checkpoint.steps) {
    bytes.PutText(TreeToProto(step.tree).SerializeAsString());
    bytes.PutText(step.counters.SerializeAsString());
    bytes.Put(step.tolerance);
    bytes.Put(step.distinct_rows);
  }
  bytes.Put(static_cast<uint64_t>(checkpoint.search.has_value() ? 1 : 0));
  bytes.PutText(checkpoint.search.value_or(""));
  return std::move(bytes).Seal();
}

std::optional<SearchCheckpoint> DecodeSearchCheckpoint(std::string_view bytes, uint64_t fingerprint,
                                                       const v1::TreeModel& model) {
  ByteReader reader = ByteReader::Unseal(bytes);
  if (reader.Take<uint64_t>() != kMagic || reader.Take<uint64_t>() != fingerprint) {
    return std::nullopt;
  }
  SearchCheckpoint checkpoint;
  checkpoint.seconds = reader.Take<double>();
  const uint64_t steps = reader.Take<uint64_t>();
  for (uint64_t i = 0; reader.ok() && i < steps; ++i) {
    if (!TakeStep(reader, model, checkpoint)) return std::nullopt;
  }
  const bool has_search = reader.Take<uint64_t>() != 0;
  const std::string_view search = reader.TakeText();
  if (!reader.done()) return std::nullopt;
  if (has_search) checkpoint.search = std::string(search);
  return checkpoint;
}

}  // namespace trainyard
