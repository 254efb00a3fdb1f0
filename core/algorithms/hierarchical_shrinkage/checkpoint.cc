#include "core/algorithms/hierarchical_shrinkage/checkpoint.h"

#include <cstring>

namespace trainyard {
namespace {

// Layout, little-endian: magic, fingerprint, folds, strengths, path_reported (uint64 each), seconds
// and losses (doubles), FNV-1a of all before it.
constexpr uint64_t kMagic = 0x31544b4350535348;  // "HSSPCKT1"

template <typename T>
void Append(T value, std::string& out) {
  static_assert(sizeof(T) == 8);
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// Reads from the front; the caller has checked the length.
template <typename T>
T Take(std::string_view& bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof(value));
  bytes.remove_prefix(sizeof(value));
  return value;
}

}  // namespace

std::string EncodeCheckpoint(const FoldsDone& folds, uint64_t fingerprint) {
  std::string bytes;
  Append(kMagic, bytes);
  Append(fingerprint, bytes);
  Append(static_cast<uint64_t>(folds.losses.size()), bytes);
  Append(static_cast<uint64_t>(folds.losses.empty() ? 0 : folds.losses.front().size()), bytes);
  Append(static_cast<uint64_t>(folds.path_reported ? 1 : 0), bytes);
  Append(folds.seconds, bytes);
  for (const std::vector<double>& fold : folds.losses) {
    for (const double loss : fold) Append(loss, bytes);
  }
  Append(FingerprintOf(bytes), bytes);
  return bytes;
}

std::optional<FoldsDone> DecodeCheckpoint(std::string_view bytes, uint64_t fingerprint) {
  constexpr size_t kHeader = 6 * 8;
  constexpr uint64_t kMost = uint64_t{1} << 20;
  if (bytes.size() < kHeader + 8) return std::nullopt;
  std::string_view checksum = bytes.substr(bytes.size() - 8);
  if (Take<uint64_t>(checksum) != FingerprintOf(bytes.substr(0, bytes.size() - 8))) {
    return std::nullopt;
  }
  const size_t total = bytes.size();
  if (Take<uint64_t>(bytes) != kMagic || Take<uint64_t>(bytes) != fingerprint) return std::nullopt;
  const uint64_t folds = Take<uint64_t>(bytes);
  const uint64_t strengths = Take<uint64_t>(bytes);
  FoldsDone done;
  done.path_reported = Take<uint64_t>(bytes) != 0;
  done.seconds = Take<double>(bytes);
  if (folds > kMost || strengths > kMost || total != kHeader + folds * strengths * 8 + 8) {
    return std::nullopt;
  }
  done.losses.resize(folds);
  for (std::vector<double>& fold : done.losses) {
    for (uint64_t i = 0; i < strengths; ++i) fold.push_back(Take<double>(bytes));
  }
  return done;
}

uint64_t FingerprintOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace trainyard
