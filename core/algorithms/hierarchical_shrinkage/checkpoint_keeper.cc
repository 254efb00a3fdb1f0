#include "core/algorithms/hierarchical_shrinkage/checkpoint_keeper.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "core/base/clock.h"
#include "core/base/status.h"

namespace trainyard {

absl::Status CheckpointKeeper::Load(uint64_t fingerprint, size_t folds, size_t strengths,
                                    const v1::TreeModel& model) {
  fingerprint_ = fingerprint;
  last_end_ = Clock::Real().Monotonic();
  TY_ASSIGN_OR_RETURN(const std::optional<std::string> bytes, context_.LoadCheckpoint());
  if (!bytes.has_value()) return absl::OkStatus();
  std::optional<ResumedTraining> resumed = DecodeCheckpoint(*bytes, fingerprint, model);
  const auto whole = [strengths](const std::vector<double>& fold) {
    return strengths == 0 || fold.size() == strengths;
  };
  if (!resumed.has_value() || resumed->state.losses.size() > folds ||
      resumed->state.fold_losses.size() >= std::max<size_t>(strengths, 1) ||
      !std::all_of(resumed->state.losses.begin(), resumed->state.losses.end(), whole)) {
    context_.Log(v1::LogLine::SEVERITY_WARNING,
                 "the checkpoint does not belong to this job; the training starts afresh");
    return absl::OkStatus();
  }
  state_ = std::move(resumed->state);
  trees_ = std::move(resumed->trees);
  return absl::OkStatus();
}

std::vector<Tree> CheckpointKeeper::TakeTrees(bool final_fit) {
  counted_nodes_ = 0;
  counted_trees_ = 0;
  std::vector<Tree> trees = std::exchange(trees_, {});
  if (state_.final_fit != final_fit) trees.clear();
  state_.final_fit = final_fit;
  return trees;
}

absl::Status CheckpointKeeper::TreesDone(std::span<const Tree> trees) {
  for (; counted_trees_ < trees.size(); ++counted_trees_) {
    counted_nodes_ += trees[counted_trees_].node_count();
  }
  if (counted_nodes_ > policy_.most_nodes) return absl::OkStatus();
  const absl::Duration wait = std::max(policy_.least_interval, policy_.least_ratio * last_took_);
  if (Clock::Real().Monotonic() - last_end_ < wait) return absl::OkStatus();
  return Write(trees);
}

absl::Status CheckpointKeeper::Save() { return Write({}); }

absl::Status CheckpointKeeper::Write(std::span<const Tree> trees) {
  const absl::Duration start = Clock::Real().Monotonic();
  const int64_t step = static_cast<int64_t>(state_.losses.size() + trees.size());
  TY_RETURN_IF_ERROR(context_.SaveCheckpoint(step, EncodeCheckpoint(state_, trees, fingerprint_)));
  last_end_ = Clock::Real().Monotonic();
  last_took_ = last_end_ - start;
  return absl::OkStatus();
}

}  // namespace trainyard
