#include "core/algorithms/hierarchical_shrinkage/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "core/base/crc32c.h"
#include "core/trees/tree_proto.h"

namespace trainyard {
namespace {

// Layout, little-endian, all of 8 bytes: magic, fingerprint, flags, seconds; number of folds, and
// for each its losses; losses of the fold under way; number of trees, and for each its length and
// its message; CRC-32C of all before it. Lists begin with their length.
constexpr uint64_t kMagic = 0x32544b4350535348;  // "HSSPCKT2"
constexpr uint64_t kFinalFit = 1;
constexpr uint64_t kPathReported = 2;

template <typename T>
void Append(T value, std::string& out) {
  static_assert(sizeof(T) == 8);
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AppendList(const std::vector<double>& values, std::string& out) {
  Append(static_cast<uint64_t>(values.size()), out);
  for (const double value : values) Append(value, out);
}

// Reads from the front; once something is missing it reads zeros and is not ok.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  bool done() const { return ok_ && bytes_.empty(); }

  template <typename T>
  T Take() {
    T value{};
    const std::string_view part = TakeBytes(sizeof(T));
    if (ok_) std::memcpy(&value, part.data(), sizeof(T));
    return value;
  }

  std::string_view TakeBytes(uint64_t count) {
    ok_ = ok_ && bytes_.size() >= count;
    if (!ok_) return {};
    const std::string_view part = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return part;
  }

  std::vector<double> TakeList() {
    const uint64_t count = Take<uint64_t>();
    ok_ = ok_ && count <= bytes_.size() / sizeof(double);
    std::vector<double> values;
    for (uint64_t i = 0; ok_ && i < count; ++i) values.push_back(Take<double>());
    return values;
  }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

bool TakeTrees(Reader& reader, const v1::TreeModel& model, std::vector<Tree>& trees) {
  const uint64_t count = reader.Take<uint64_t>();
  for (uint64_t i = 0; reader.ok() && i < count; ++i) {
    const std::string_view bytes = reader.TakeBytes(reader.Take<uint64_t>());
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
  std::string bytes;
  Append(kMagic, bytes);
  Append(fingerprint, bytes);
  Append((state.final_fit ? kFinalFit : 0) | (state.path_reported ? kPathReported : 0), bytes);
  Append(state.seconds, bytes);
  Append(static_cast<uint64_t>(state.losses.size()), bytes);
  for (const std::vector<double>& fold : state.losses) AppendList(fold, bytes);
  AppendList(state.fold_losses, bytes);
  Append(static_cast<uint64_t>(trees.size()), bytes);
  for (const Tree& tree : trees) {
    const std::string message = TreeToProto(tree).SerializeAsString();
    Append(static_cast<uint64_t>(message.size()), bytes);
    bytes += message;
  }
  Append(static_cast<uint64_t>(Crc32c(bytes)), bytes);
  return bytes;
}

std::optional<ResumedTraining> DecodeCheckpoint(std::string_view bytes, uint64_t fingerprint,
                                                const v1::TreeModel& model) {
  if (bytes.size() < 8) return std::nullopt;
  const std::string_view content = bytes.substr(0, bytes.size() - 8);
  if (Reader(bytes.substr(content.size())).Take<uint64_t>() != Crc32c(content)) return std::nullopt;
  Reader reader(content);
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
  for (uint64_t i = 0; reader.ok() && i < folds; ++i) state.losses.push_back(reader.TakeList());
  state.fold_losses = reader.TakeList();
  if (!TakeTrees(reader, model, resumed.trees) || !reader.done()) return std::nullopt;
  return resumed;
}

uint64_t FingerprintOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace trainyard
