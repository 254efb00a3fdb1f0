// What a hierarchical shrinkage job keeps so that another attempt goes on where this one ended.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard {

// The folds done so far.
struct FoldsDone {
  // Mean loss of each finished fold at each strength, exactly as computed.
  std::vector<std::vector<double>> losses;
  // Time spent on them in all attempts, in s.
  double seconds = 0;
  // Whether the whole path was reported as metrics.
  bool path_reported = false;
};

// `fingerprint` identifies spec and rows; see FingerprintOf.
std::string EncodeCheckpoint(const FoldsDone& folds, uint64_t fingerprint);

// nullopt when the bytes are damaged, of another version, or of a job with another fingerprint.
std::optional<FoldsDone> DecodeCheckpoint(std::string_view bytes, uint64_t fingerprint);

// 64-bit FNV-1a of a text.
uint64_t FingerprintOf(std::string_view text);

}  // namespace trainyard
