#include "core/trees/boosting/boosting.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "core/base/random.h"
#include "core/base/status.h"
#include "core/trees/boosting/boosted_tree.h"
#include "core/trees/boosting/boosting_checks.h"
#include "core/trees/boosting/boosting_loss.h"
#include "core/trees/boosting/gradient_sums.h"
#include "core/trees/boosting/histogram_tree.h"
#include "core/trees/stop_token.h"

namespace trainyard {
namespace {

// Rows per task of loops over rows; sums are taken in such blocks, in order.
constexpr size_t kRowsPerTask = 8192;

std::vector<uint32_t> RowsOfPositiveWeight(std::span<const uint32_t> rows,
                                           std::span<const double> weights) {
  std::vector<uint32_t> kept;
  kept.reserve(rows.size());
  for (const uint32_t row : rows) {
    if (weights.empty() || weights[row] > 0) kept.push_back(row);
  }
  return kept;
}

// `count` of `total`, ascending, uniformly at random: each is taken with the probability that makes
// the rest come out even.
std::vector<uint32_t> DrawAscending(size_t count, size_t total, Rng rng) {
  std::vector<uint32_t> drawn;
  drawn.reserve(count);
  for (size_t i = 0; i < total && drawn.size() < count; ++i) {
    if (rng.UniformInt(total - i) < count - drawn.size()) {
      drawn.push_back(static_cast<uint32_t>(i));
    }
  }
  return drawn;
}

size_t Share(double share, size_t total) {
  const double wanted = std::ceil(share * static_cast<double>(total) - 1e-9);
  return std::clamp<size_t>(static_cast<size_t>(wanted), 1, std::max<size_t>(total, 1));
}

TreeLimits LimitsOf(const v1::BoostingOptions& options, const BoostingSetup& setup) {
  return {.max_leaves = options.max_leaves(),
          .max_depth = options.max_depth(),
          .histogram_bytes = setup.histogram_bytes};
}

SplitRules RulesOf(const v1::BoostingOptions& options) {
  return {.min_rows = options.min_samples_leaf(),
          .min_hessian = options.min_child_weight(),
          .l2 = options.l2(),
          .category_smoothing = options.category_smoothing()};
}

// One fit: the scores, and what a round needs.
class Fit {
 public:
  Fit(const BoostingData& data, const v1::BoostingOptions& options, const BoostingSetup& setup,
      std::unique_ptr<BoostingLoss> loss, ThreadPool& pool, const BoostingHooks& hooks)
      : data_(data),
        options_(options),
        setup_(setup),
        loss_(std::move(loss)),
        pool_(pool),
        hooks_(hooks),
        stop_(hooks.check),
        rows_(RowsOfPositiveWeight(data.rows, data.weights)),
        validation_rows_(RowsOfPositiveWeight(data.validation_rows, data.weights)),
        row_count_(static_cast<size_t>(data.features.row_count())),
        grower_(data.features, LimitsOf(options, setup), RulesOf(options), data.directions, pool,
                stop_) {}

  absl::StatusOr<BoostingResult> Run();

 private:
  size_t outputs() const { return static_cast<size_t>(loss_->outputs()); }
  ScoredRows Scored() const { return {data_.target, data_.weights, scores_, row_count_}; }
  bool sampled() const { return options_.subsample() < 1 || options_.feature_fraction() < 1; }

  void Start();
  absl::Status Replay();
  absl::Status TakeRound();
  absl::Status RecordRound();
  bool DueToStop() const;
  void ComputeGradients(int output, std::span<const uint32_t> rows);
  Tree GrowTree(int output, std::span<const uint32_t> rows, std::span<const int32_t> features);
  void AddToPartition(const Tree& tree, double* scores);
  absl::Status AddByWalking(const Tree& tree, std::span<const uint32_t> rows, double* scores);
  double MeanLoss(std::span<const uint32_t> rows);
  BoostingResult Finish();

  const BoostingData& data_;
  const v1::BoostingOptions& options_;
  const BoostingSetup& setup_;
  const std::unique_ptr<BoostingLoss> loss_;
  ThreadPool& pool_;
  const BoostingHooks& hooks_;
  StopToken stop_;
  const std::vector<uint32_t> rows_;
  const std::vector<uint32_t> validation_rows_;
  const size_t row_count_;
  HistogramTreeGrower grower_;
  std::vector<double> scores_;     // [output][row]
  std::vector<double> gradients_;  // by row, of one output
  std::vector<double> hessians_;   // likewise; empty where they are the weights
  PackedGradients packed_;
  BoostingResult result_;
  int best_round_ = 0;
  double best_loss_ = std::numeric_limits<double>::infinity();
  bool exhausted_ = false;  // no split was left
};

void Fit::Start() {
  result_.ensemble.combination = TreeCombination::kSum;
  result_.ensemble.outputs = loss_->outputs();
  result_.ensemble.link = loss_->link();
  result_.ensemble.base = loss_->Base(Scored(), rows_);
  scores_.resize(outputs() * row_count_);
  for (size_t k = 0; k < outputs(); ++k) {
    std::fill_n(scores_.begin() + static_cast<ptrdiff_t>(k * row_count_), row_count_,
                result_.ensemble.base[k]);
  }
  gradients_.resize(row_count_);
  if (!loss_->unit_hessian()) hessians_.resize(row_count_);
  loss_->Prepare(Scored(), rows_, pool_);
}

absl::StatusOr<BoostingResult> Fit::Run() {
  if (stop_.Ask()) return stop_.status();
  Start();
  TY_RETURN_IF_ERROR(Replay());
  while (static_cast<int>(result_.rounds.size()) < options_.rounds() && !exhausted_ &&
         !DueToStop()) {
    TY_RETURN_IF_ERROR(TakeRound());
  }
  return Finish();
}

absl::Status Fit::Replay() {
  const std::span<const Tree> trees = setup_.finished_trees;
  for (size_t first = 0; first < trees.size(); first += outputs()) {
    for (size_t k = 0; k < outputs(); ++k) {
      if (stop_.Ask()) return stop_.status();
      double* scores = scores_.data() + k * row_count_;
      TY_RETURN_IF_ERROR(AddByWalking(trees[first + k], rows_, scores));
      TY_RETURN_IF_ERROR(AddByWalking(trees[first + k], validation_rows_, scores));
      result_.ensemble.trees.push_back(trees[first + k]);
    }
    TY_RETURN_IF_ERROR(RecordRound());
  }
  return absl::OkStatus();
}

// Adds the losses of the scores as they are as one more round.
absl::Status Fit::RecordRound() {
  BoostingRound round;
  round.round = static_cast<int>(result_.rounds.size()) + 1;
  round.training_loss = MeanLoss(rows_);
  if (!validation_rows_.empty()) {
    round.validation_loss = MeanLoss(validation_rows_);
    if (round.validation_loss <
            best_loss_ - options_.early_stopping_tolerance() * std::abs(best_loss_) ||
        best_round_ == 0) {
      best_loss_ = round.validation_loss;
      best_round_ = round.round;
    }
  }
  if (stop_.stopped()) return stop_.status();
  result_.rounds.push_back(round);
  loss_->Prepare(Scored(), rows_, pool_);
  return absl::OkStatus();
}

bool Fit::DueToStop() const {
  const int patience = options_.early_stopping_rounds();
  return patience > 0 && static_cast<int>(result_.rounds.size()) - best_round_ >= patience;
}

absl::Status Fit::TakeRound() {
  const uint64_t round = result_.rounds.size();
  std::vector<uint32_t> drawn;
  std::vector<uint32_t> left_out;
  std::span<const uint32_t> rows = rows_;
  if (options_.subsample() < 1) {
    drawn = DrawAscending(Share(options_.subsample(), rows_.size()), rows_.size(),
                          Rng(setup_.seed, 2 * round));
    size_t next = 0;
    for (size_t i = 0; i < rows_.size(); ++i) {
      const bool taken = next < drawn.size() && drawn[next] == i;
      if (!taken) left_out.push_back(rows_[i]);
      if (taken) drawn[next++] = rows_[i];
    }
    rows = drawn;
  }
  const size_t feature_count = static_cast<size_t>(data_.features.feature_count());
  std::vector<Tree> trees;
  bool split = false;
  for (size_t k = 0; k < outputs(); ++k) {
    const std::vector<uint32_t> numbers =
        DrawAscending(Share(options_.feature_fraction(), feature_count), feature_count,
                      Rng(setup_.seed, 2 * (round * outputs() + k) + 1));
    const std::vector<int32_t> features(numbers.begin(), numbers.end());
    Tree tree = GrowTree(static_cast<int>(k), rows, features);
    if (stop_.stopped()) return stop_.status();
    double* scores = scores_.data() + k * row_count_;
    AddToPartition(tree, scores);
    TY_RETURN_IF_ERROR(AddByWalking(tree, left_out, scores));
    TY_RETURN_IF_ERROR(AddByWalking(tree, validation_rows_, scores));
    split = split || tree.node_count() > 1;
    trees.push_back(std::move(tree));
  }
  exhausted_ = !split && !sampled();
  if (exhausted_ && round > 0) return absl::OkStatus();
  TY_RETURN_IF_ERROR(RecordRound());
  if (hooks_.round) TY_RETURN_IF_ERROR(hooks_.round(result_.rounds.back(), trees));
  for (Tree& tree : trees) result_.ensemble.trees.push_back(std::move(tree));
  return absl::OkStatus();
}

void Fit::ComputeGradients(int output, std::span<const uint32_t> rows) {
  const ScoredRows scored = Scored();
  SumInBlocks(rows.size(), pool_, [&](size_t begin, size_t end) {
    if (!stop_.Ask()) {
      loss_->Gradients(scored, rows.subspan(begin, end - begin), output, gradients_.data(),
                       hessians_.data());
    }
    return 0.0;
  });
}

Tree Fit::GrowTree(int output, std::span<const uint32_t> rows, std::span<const int32_t> features) {
  ComputeGradients(output, rows);
  const std::span<const double> hessians = hessians_.empty() ? data_.weights : hessians_;
  packed_.Pack(gradients_, hessians, rows, pool_, stop_);
  if (stop_.stopped()) return {};
  const std::vector<HistogramNode>& nodes = grower_.Grow(packed_, rows, features);
  if (stop_.stopped()) return {};
  const ScoredRows scored = Scored();
  Tree tree = FinishTree(data_.features, nodes, grower_.partition(),
                         {*loss_, scored, gradients_, hessians_, options_.l2(),
                          options_.learning_rate(), data_.directions},
                         pool_, stop_);
  if (options_.shrinkage_mode() == v1::BoostingOptions::SHRINKAGE_MODE_IN_LOOP) {
    Shrink(setup_.scheme, setup_.lambda, tree);
  }
  return tree;
}

void Fit::AddToPartition(const Tree& tree, double* scores) {
  const std::vector<HistogramNode>& nodes = grower_.nodes();
  pool_.Run(static_cast<int64_t>(nodes.size()), [&](int64_t index, int) {
    const HistogramNode& node = nodes[static_cast<size_t>(index)];
    if (!node.is_leaf() || stop_.Ask()) return;
    const double value = tree.value[static_cast<size_t>(index)];
    for (const uint32_t row : grower_.partition().rows(node.begin, node.end)) {
      scores[row] += value;
    }
  });
}

absl::Status Fit::AddByWalking(const Tree& tree, std::span<const uint32_t> rows, double* scores) {
  if (rows.empty()) return absl::OkStatus();
  TY_ASSIGN_OR_RETURN(const CodeWalker walker, CodeWalker::Make(tree, data_.features));
  SumInBlocks(rows.size(), pool_, [&](size_t begin, size_t end) {
    if (stop_.Ask()) return 0.0;
    std::vector<int32_t> leaves(end - begin);
    walker.FindLeaves(rows.subspan(begin, end - begin), leaves.data());
    for (size_t i = begin; i < end; ++i) {
      scores[rows[i]] += tree.value[static_cast<size_t>(leaves[i - begin])];
    }
    return 0.0;
  });
  return absl::OkStatus();
}

double Fit::MeanLoss(std::span<const uint32_t> rows) {
  const ScoredRows scored = Scored();
  const double loss = SumInBlocks(rows.size(), pool_, [&](size_t begin, size_t end) {
    return stop_.Ask() ? 0.0 : loss_->LossSum(scored, rows.subspan(begin, end - begin));
  });
  const double weight = SumInBlocks(rows.size(), pool_, [&](size_t begin, size_t end) {
    double sum = 0;
    for (size_t i = begin; i < end; ++i) sum += scored.WeightOf(rows[i]);
    return sum;
  });
  return loss / weight;
}

BoostingResult Fit::Finish() {
  const int made = static_cast<int>(result_.rounds.size());
  result_.stopped_early = DueToStop();
  result_.kept_rounds = options_.early_stopping_rounds() > 0 ? best_round_ : made;
  std::vector<Tree>& trees = result_.ensemble.trees;
  trees.resize(static_cast<size_t>(result_.kept_rounds) * outputs());
  for (size_t i = 0; outputs() > 1 && i < trees.size(); ++i) {
    result_.ensemble.tree_output.push_back(static_cast<int32_t>(i % outputs()));
  }
  return std::move(result_);
}

}  // namespace

absl::StatusOr<BoostingResult> FitBoosting(const BoostingData& data,
                                           const v1::BoostingOptions& options,
                                           const BoostingSetup& setup, ThreadPool& pool,
                                           const BoostingHooks& hooks) {
  TY_RETURN_IF_ERROR(CheckBoostingOptions(options));
  TY_RETURN_IF_ERROR(CheckBoostingData(data, options));
  TY_ASSIGN_OR_RETURN(std::unique_ptr<BoostingLoss> loss, MakeBoostingLoss(options, data.target));
  TY_RETURN_IF_ERROR(loss->CheckTargets(data.target, data.rows));
  TY_RETURN_IF_ERROR(loss->CheckTargets(data.target, data.validation_rows));
  TY_RETURN_IF_ERROR(CheckBoostingSetup(setup, loss->outputs()));
  return Fit(data, options, setup, std::move(loss), pool, hooks).Run();
}

}  // namespace trainyard
