// When a hierarchical shrinkage job saves its state, and what it finds there at its start.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/algorithms/hierarchical_shrinkage/checkpoint.h"
#include "core/training/training_context.h"
#include "trainyard/v1/tree.pb.h"

namespace trainyard {

// How often the trees of a fit are saved. A checkpoint holds all of them, so that saving each would
// cost the square of their number.
struct CheckpointPolicy {
  // Least time between two checkpoints within a fit.
  absl::Duration least_interval = absl::Seconds(2);
  // The same in units of the time that the last one took.
  double least_ratio = 20;
  // Trees of more nodes together are not saved; the fit then begins again.
  int64_t most_nodes = 10'000'000;
};

// The state of a job between its steps. Not thread-safe.
class CheckpointKeeper {
 public:
  CheckpointKeeper(TrainingContext& context, const CheckpointPolicy& policy)
      : context_(context), policy_(policy) {}

  // Loads what an earlier attempt saved. Its folds have losses for `strengths` candidates (0: not
  // known yet); its trees are those of `model`. What does not fit is dropped with a warning.
  absl::Status Load(uint64_t fingerprint, size_t folds, size_t strengths,
                    const v1::TreeModel& model);

  TrainingState& state() { return state_; }

  // The finished trees of the fit that begins now, where an earlier attempt was within it.
  std::vector<Tree> TakeTrees(bool final_fit);

  // The fit under way has these trees; saved when it is time.
  absl::Status TreesDone(std::span<const Tree> trees);

  // Saves the state, which says that a fit or fold is done.
  absl::Status Save();

 private:
  absl::Status Write(std::span<const Tree> trees);

  TrainingContext& context_;
  const CheckpointPolicy policy_;
  uint64_t fingerprint_ = 0;
  TrainingState state_;
  std::vector<Tree> trees_;
  absl::Duration last_end_ = absl::ZeroDuration();
  absl::Duration last_took_ = absl::ZeroDuration();
  int64_t counted_nodes_ = 0;
  size_t counted_trees_ = 0;
};

}  // namespace trainyard
