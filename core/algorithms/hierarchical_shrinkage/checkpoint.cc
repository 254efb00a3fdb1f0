#include "core/algorithms/hierarchical_shrinkage/checkpoint.h"

#include <limits>
#include <utility>

#include "core/base/byte_stream.h"
#include "core/trees/tree_proto.h"

namespace trainyard {
namespace {

// Layout, little-endian, all of 8 bytes: magic, fingerprint, flags, seconds; number of folds, and
// for each its losses; losses of the fold under way; number of trees, and for each its length and
// its message; CRC-32C of all before it. Lists begin with their length.
constexpr uint64_t kMagic = 0x32544b4350535348;  // "HSSPCKT2"
constexpr uint64_t kFinalFit = 1;
constexpr uint64_t kPathReported = 2;

bool TakeTrees(ByteReader& reader, const v1::TreeModel& model, std::vector<Tree>& trees) {
  const uint64_t count = reader.Take<uint64_t>();
  for (uint64_t i = 0; reader.ok() && i < count; ++i) {
    const std::string_view bytes = reader.TakeText();
    v1::DecisionTree message;
    if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max()) ||
        !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return false;
    }
    absl::StatusOr<Tree> tree = TreeFromProto(message, model);
    if (!tree.ok()) return false;
    trees.push_back(*std::move(tree));
  }
  return reader.ok();
}

}  // namespace

std::string EncodeCheckpoint(const TrainingState& state, std::span<const Tree> trees,
                             uint64_t fingerprint) {
  ByteWriter bytes;
  bytes.Put(kMagic);
  bytes.Put(fingerprint);
  bytes.Put((state.final_fit ? kFinalFit : 0) | (state.path_reported ? kPathReported : 0));
  bytes.Put(state.seconds);
  bytes.Put(static_cast<uint64_t>(state.losses.size()));
  for (const std::vector<double>& fold : state.losses) bytes.PutList(fold);
  bytes.PutList(state.fold_losses);
  bytes.Put(static_cast<uint64_t>(trees.size()));
  for (const Tree& tree : trees) bytes.PutText(TreeToProto(tree).SerializeAsString());
  return std::move(bytes).Seal();
}

std::optional<ResumedTraining> DecodeCheckpoint(std::string_view bytes, uint64_t fingerprint,
                                                const v1::TreeModel& model) {
  ByteReader reader = ByteReader::Unseal(bytes);
  if (reader.Take<uint64_t>() != kMagic || reader.Take<uint64_t>() != fingerprint) {
    return std::nullopt;
  }
  ResumedTraining resumed;
  TrainingState& state = resumed.state;
  const uint64_t flags = reader.Take<uint64_t>();
  state.final_fit = (flags & kFinalFit) != 0;
  state.path_reported = (flags & kPathReported) != 0;
  state.seconds = reader.Take<double>();
  const uint64_t folds = reader.Take<uint64_t>();
  for (uint64_t i = 0; reader.ok() && i < folds; ++i)
    state.losses.push_back(reader.TakeList<double>());
  state.fold_losses = reader.TakeList<double>();
  if (!TakeTrees(reader, model, resumed.trees) || !reader.done()) return std::nullopt;
  return resumed;
}

}  // namespace trainyard
