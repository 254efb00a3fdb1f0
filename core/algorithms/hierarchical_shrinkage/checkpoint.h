// What a hierarchical shrinkage job keeps so that another attempt goes on where this one ended.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/trees/tree.h"
#include "trainyard/v1/tree.pb.h"

namespace trainyard {

// How far a job is beside the trees of the fit that is under way: whole folds, whole fits of a
// fold.
struct TrainingState {
  // Mean loss of each finished fold at each strength, exactly as computed.
  std::vector<std::vector<double>> losses;
  // The losses of the fold under way whose strengths need a fit each and are done.
  std::vector<double> fold_losses;
  // Whether the fit under way is the final one.
  bool final_fit = false;
  // Time spent on folds in all attempts, in s.
  double seconds = 0;
  // Whether the whole path was reported as metrics.
  bool path_reported = false;
};

// A state with the finished trees of the fit under way.
struct ResumedTraining {
  TrainingState state;
  std::vector<Tree> trees;
};

// `fingerprint` identifies spec and rows; see core/base/byte_stream.h.
std::string EncodeCheckpoint(const TrainingState& state, std::span<const Tree> trees,
                             uint64_t fingerprint);

// nullopt when the bytes are damaged, of another version, or of a job with another fingerprint.
// The trees are checked as those of `model`, which has everything but trees.
std::optional<ResumedTraining> DecodeCheckpoint(std::string_view bytes, uint64_t fingerprint,
                                                const v1::TreeModel& model);

}  // namespace trainyard
