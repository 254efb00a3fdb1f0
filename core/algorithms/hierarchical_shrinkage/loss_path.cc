#include "core/algorithms/hierarchical_shrinkage/loss_path.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "core/algorithms/metrics.h"
#include "core/trees/prediction_tree.h"
#include "core/trees/row_block.h"
#include "core/trees/stop_token.h"

namespace trainyard {
namespace {

constexpr size_t kRowsPerTask = 2048;
// Scores kept at once; more rows are taken in several rounds.
constexpr size_t kMostScores = size_t{1} << 25;

// A tree ready to be walked, with the values of its nodes for every strength.
struct ShrunkTree {
  std::optional<PredictionTree> walk;
  std::vector<double> path;  // [node][strength][output]
};

// Rows that one task works on.
struct Task {
  RowBlock block;
  size_t begin = 0;  // in `positions`
  size_t count = 0;
};

class PathScorer {
 public:
  PathScorer(const TreeEnsemble& ensemble, ShrinkageScheme scheme, std::span<const double> lambdas,
             const LearnerData& data, ThreadPool& pool, const std::function<absl::Status()>& check)
      : ensemble_(ensemble),
        scheme_(scheme),
        lambdas_(lambdas),
        data_(data),
        pool_(pool),
        stop_(check),
        columns_(data.columns.size()),
        width_(static_cast<size_t>(ensemble.outputs)) {
    std::iota(columns_.begin(), columns_.end(), int32_t{0});
  }

  // Adds the losses of the positions up, one sum per task and strength.
  absl::Status Add(std::span<const uint32_t> positions, std::vector<double>& losses) {
    table_rows_.clear();
    for (const uint32_t position : positions) table_rows_.push_back(data_.rows[position]);
    LoadTasks();
    scores_.assign(positions.size() * lambdas_.size() * width_, 0.0);
    const size_t batch = static_cast<size_t>(pool_.threads());
    for (size_t first = 0; first < ensemble_.trees.size() && !stop_.stopped(); first += batch) {
      AddTrees(first, std::min(batch, ensemble_.trees.size() - first));
    }
    std::vector<std::vector<double>> sums(tasks_.size());
    pool_.Run(static_cast<int64_t>(tasks_.size()), [&](int64_t i, int) {
      if (stop_.Ask()) return;
      sums[static_cast<size_t>(i)] = LossesOf(tasks_[static_cast<size_t>(i)], positions);
    });
    if (stop_.stopped()) return stop_.status();
    for (const std::vector<double>& own : sums) {
      for (size_t j = 0; j < own.size(); ++j) losses[j] += own[j];
    }
    return absl::OkStatus();
  }

  size_t RowsPerRound() const {
    return std::max<size_t>(kMostScores / (lambdas_.size() * width_), kRowsPerTask);
  }

 private:
  void LoadTasks() {
    tasks_.clear();
    for (size_t begin = 0; begin < table_rows_.size(); begin += kRowsPerTask) {
      const size_t count = std::min(kRowsPerTask, table_rows_.size() - begin);
      tasks_.push_back(
          {RowBlock(data_.columns, columns_, static_cast<int64_t>(count)), begin, count});
    }
    pool_.Run(static_cast<int64_t>(tasks_.size()), [&](int64_t i, int) {
      if (stop_.Ask()) return;
      Task& task = tasks_[static_cast<size_t>(i)];
      task.block.LoadRows(std::span(table_rows_).subspan(task.begin, task.count));
    });
  }

  // The trees in their order, for every row.
  void AddTrees(size_t first, size_t count) {
    if (shrunk_.size() < count) shrunk_.resize(count);
    pool_.Run(static_cast<int64_t>(count), [&](int64_t i, int) {
      if (stop_.Ask()) return;
      const Tree& tree = ensemble_.trees[first + static_cast<size_t>(i)];
      ShrunkTree& shrunk = shrunk_[static_cast<size_t>(i)];
      shrunk.walk.emplace(tree, columns_);
      ShrinkagePath(tree, scheme_, lambdas_, shrunk.path);
    });
    if (stop_.stopped()) return;
    pool_.Run(static_cast<int64_t>(tasks_.size()), [&](int64_t i, int) {
      std::vector<int32_t> leaves(kRowsPerTask);
      for (size_t t = 0; t < count && !stop_.Ask(); ++t) {
        AddTree(shrunk_[t], ensemble_.OutputOf(static_cast<int>(first + t)),
                tasks_[static_cast<size_t>(i)], leaves);
      }
    });
  }

  void AddTree(const ShrunkTree& tree, int output, const Task& task, std::span<int32_t> leaves) {
    tree.walk->FindLeaves(task.block, leaves.data());
    const size_t own = tree.walk->outputs();
    const size_t strengths = lambdas_.size();
    double* to = scores_.data() + task.begin * strengths * width_ + static_cast<size_t>(output);
    for (size_t i = 0; i < task.count; ++i) {
      const double* from =
          tree.path.data() + static_cast<size_t>(tree.walk->NodeOf(leaves[i])) * strengths * own;
      for (size_t j = 0; j < strengths; ++j, to += width_, from += own) {
        for (size_t k = 0; k < own; ++k) to[k] += from[k];
      }
    }
  }

  std::vector<double> LossesOf(const Task& task, std::span<const uint32_t> positions) {
    std::vector<double> losses(lambdas_.size(), 0);
    std::vector<double> predicted(static_cast<size_t>(ensemble_.prediction_count()));
    const bool mean = ensemble_.combination == TreeCombination::kMean;
    const double divisor = mean ? static_cast<double>(ensemble_.trees.size()) : 1.0;
    double* raw = scores_.data() + task.begin * lambdas_.size() * width_;
    for (size_t i = task.begin; i < task.begin + task.count; ++i) {
      const double weight = data_.WeightOf(positions[i]);
      for (size_t j = 0; j < lambdas_.size(); ++j, raw += width_) {
        for (size_t k = 0; k < width_; ++k) {
          raw[k] = raw[k] / divisor + (ensemble_.base.empty() ? 0.0 : ensemble_.base[k]);
        }
        ApplyLink(ensemble_.link, ensemble_.outputs, {raw, width_}, predicted);
        losses[j] += weight * LossOf(predicted, positions[i]);
      }
    }
    return losses;
  }

  double LossOf(std::span<const double> predicted, uint32_t position) const {
    const TreeTarget& target = data_.target;
    if (target.classification()) {
      return LogLossOf(predicted[static_cast<size_t>(target.classes[position])]);
    }
    const double* actual = &target.values[position * predicted.size()];
    double sum = 0;
    for (size_t k = 0; k < predicted.size(); ++k) {
      sum += (predicted[k] - actual[k]) * (predicted[k] - actual[k]);
    }
    return sum / static_cast<double>(predicted.size());
  }

  const TreeEnsemble& ensemble_;
  const ShrinkageScheme scheme_;
  const std::span<const double> lambdas_;
  const LearnerData& data_;
  ThreadPool& pool_;
  StopToken stop_;
  std::vector<int32_t> columns_;
  const size_t width_;
  std::vector<int64_t> table_rows_;
  std::vector<Task> tasks_;
  std::vector<ShrunkTree> shrunk_;  // of the batch at hand
  std::vector<double> scores_;      // [row][strength][output]
};

}  // namespace

absl::StatusOr<std::vector<double>> EnsembleLossPath(
    const TreeEnsemble& ensemble, ShrinkageScheme scheme, std::span<const double> lambdas,
    const LearnerData& data, std::span<const uint32_t> positions, ThreadPool& pool,
    const std::function<absl::Status()>& check) {
  PathScorer scorer(ensemble, scheme, lambdas, data, pool, check);
  std::vector<double> losses(lambdas.size(), 0);
  const size_t most = scorer.RowsPerRound();
  for (size_t first = 0; first < positions.size(); first += most) {
    const absl::Status status =
        scorer.Add(positions.subspan(first, std::min(most, positions.size() - first)), losses);
    if (!status.ok()) return status;
  }
  double total = 0;
  for (const uint32_t position : positions) total += data.WeightOf(position);
  for (double& loss : losses) loss /= total;
  return losses;
}

}  // namespace trainyard
