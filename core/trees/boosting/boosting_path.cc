#include "core/trees/boosting/boosting_path.h"

#include <algorithm>

#include "core/base/status.h"
#include "core/trees/boosting/boosted_tree.h"
#include "core/trees/boosting/boosting_checks.h"
#include "core/trees/boosting/boosting_loss.h"
#include "core/trees/boosting/gradient_sums.h"
#include "core/trees/stop_token.h"

namespace trainyard {
namespace {

std::vector<uint32_t> PositiveRows(std::span<const uint32_t> rows,
                                   std::span<const double> weights) {
  std::vector<uint32_t> kept;
  for (const uint32_t row : rows) {
    if (weights.empty() || weights[row] > 0) kept.push_back(row);
  }
  return kept;
}

// Trees and rows that are taken together, so that both stay in the cache.
constexpr size_t kTreesAtOnce = 64;
constexpr size_t kRowsAtOnce = 256;

struct PathTree {
  CodeWalker walker;
  std::vector<double> values;  // [node][strength]
  size_t output;
};

// Adds the trees' values for rows [begin, end) to scores [strength][output][row]; in between the
// scores of a row lie together.
void AddTrees(std::span<const PathTree> trees, std::span<const uint32_t> rows, size_t begin,
              size_t end, size_t strengths, size_t outputs, std::span<double> scores) {
  std::vector<double> own((end - begin) * outputs * strengths);
  const auto for_each_score = [&](const auto& visit) {
    for (size_t s = 0; s < strengths; ++s) {
      for (size_t k = 0; k < outputs; ++k) {
        double* const row_scores = scores.data() + (s * outputs + k) * rows.size();
        for (size_t r = begin; r < end; ++r) {
          visit(row_scores[r], own[((r - begin) * outputs + k) * strengths + s]);
        }
      }
    }
  };
  for_each_score([](const double& score, double& copy) { copy = score; });
  std::vector<int32_t> leaves(end - begin);
  for (const PathTree& tree : trees) {
    tree.walker.FindLeaves(rows.subspan(begin, end - begin), leaves.data());
    for (size_t r = begin; r < end; ++r) {
      const size_t leaf = static_cast<size_t>(leaves[r - begin]);
      const double* const values = tree.values.data() + leaf * strengths;
      double* const sums = own.data() + ((r - begin) * outputs + tree.output) * strengths;
      for (size_t s = 0; s < strengths; ++s) sums[s] += values[s];
    }
  }
  for_each_score([](double& score, const double& copy) { score = copy; });
}

}  // namespace

absl::StatusOr<std::vector<double>> ShrinkagePathScores(
    const TreeEnsemble& ensemble, const BinnedFeatures& features, std::span<const uint32_t> rows,
    ShrinkageScheme scheme, std::span<const double> lambdas, ThreadPool& pool,
    const std::function<absl::Status()>& check) {
  const size_t outputs = static_cast<size_t>(ensemble.outputs);
  const size_t strengths = lambdas.size();
  StopToken stop(check);
  std::vector<double> scores(strengths * outputs * rows.size());
  for (size_t i = 0; i < scores.size() && !ensemble.base.empty(); ++i) {
    scores[i] = ensemble.base[i / rows.size() % outputs];
  }
  for (size_t first = 0; first < ensemble.trees.size(); first += kTreesAtOnce) {
    const size_t count = std::min(kTreesAtOnce, ensemble.trees.size() - first);
    std::vector<PathTree> trees;
    for (size_t i = first; i < first + count; ++i) {
      if (stop.Ask()) return stop.status();
      const size_t output =
          ensemble.tree_output.empty() ? 0 : static_cast<size_t>(ensemble.tree_output[i]);
      TY_ASSIGN_OR_RETURN(CodeWalker walker, CodeWalker::Make(ensemble.trees[i], features));
      trees.push_back(
          {std::move(walker), ShrinkagePath(ensemble.trees[i], scheme, lambdas), output});
    }
    const size_t tasks = (rows.size() + kRowsAtOnce - 1) / kRowsAtOnce;
    pool.Run(static_cast<int64_t>(tasks), [&](int64_t task, int) {
      if (stop.Ask()) return;
      const size_t begin = static_cast<size_t>(task) * kRowsAtOnce;
      AddTrees(trees, rows, begin, std::min(begin + kRowsAtOnce, rows.size()), strengths, outputs,
               scores);
    });
  }
  if (stop.stopped()) return stop.status();
  return scores;
}

absl::StatusOr<std::vector<double>> ShrinkagePathLosses(
    const TreeEnsemble& ensemble, const BoostingData& data, const v1::BoostingOptions& options,
    ShrinkageScheme scheme, std::span<const double> lambdas, ThreadPool& pool,
    const std::function<absl::Status()>& check) {
  TY_RETURN_IF_ERROR(CheckBoostingData(data, options));
  TY_ASSIGN_OR_RETURN(const std::unique_ptr<BoostingLoss> loss,
                      MakeBoostingLoss(options, data.target));
  TY_RETURN_IF_ERROR(loss->CheckTargets(data.target, data.validation_rows));
  const std::vector<uint32_t> rows = PositiveRows(data.validation_rows, data.weights);
  TY_ASSIGN_OR_RETURN(
      const std::vector<double> path,
      ShrinkagePathScores(ensemble, data.features, rows, scheme, lambdas, pool, check));
  const size_t row_count = static_cast<size_t>(data.features.row_count());
  const size_t outputs = static_cast<size_t>(ensemble.outputs);
  std::vector<double> scores(outputs * row_count);
  for (size_t k = 0; k < outputs; ++k) {
    std::fill_n(scores.begin() + static_cast<ptrdiff_t>(k * row_count), row_count,
                ensemble.base.empty() ? 0.0 : ensemble.base[k]);
  }
  const ScoredRows scored = {data.target, data.weights, scores, row_count};
  loss->Prepare(scored, PositiveRows(data.rows, data.weights), pool);
  double weight = 0;
  for (const uint32_t row : rows) weight += scored.WeightOf(row);
  std::vector<double> losses;
  for (size_t s = 0; s < lambdas.size(); ++s) {
    for (size_t k = 0; k < outputs; ++k) {
      const double* from = path.data() + (s * outputs + k) * rows.size();
      for (size_t r = 0; r < rows.size(); ++r) scores[k * row_count + rows[r]] = from[r];
    }
    losses.push_back(SumInBlocks(rows.size(), pool,
                                 [&](size_t begin, size_t end) {
                                   return loss->LossSum(
                                       scored, std::span(rows).subspan(begin, end - begin));
                                 }) /
                     weight);
  }
  return losses;
}

}  // namespace trainyard
