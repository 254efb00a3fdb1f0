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

}  // namespace

absl::StatusOr<std::vector<double>> ShrinkagePathScores(
    const TreeEnsemble& ensemble, const BinnedFeatures& features, std::span<const uint32_t> rows,
    ShrinkageScheme scheme, std::span<const double> lambdas, ThreadPool& pool,
    const std::function<absl::Status()>& check) {
  const size_t outputs = static_cast<size_t>(ensemble.outputs);
  StopToken stop(check);
  std::vector<double> scores(lambdas.size() * outputs * rows.size());
  const auto part = [&](size_t strength, size_t output) {
    return scores.data() + (strength * outputs + output) * rows.size();
  };
  for (size_t s = 0; s < lambdas.size(); ++s) {
    for (size_t k = 0; k < outputs; ++k) {
      std::fill_n(part(s, k), rows.size(), ensemble.base.empty() ? 0.0 : ensemble.base[k]);
    }
  }
  for (size_t i = 0; i < ensemble.trees.size(); ++i) {
    if (stop.Ask()) return stop.status();
    const Tree& tree = ensemble.trees[i];
    const size_t output =
        ensemble.tree_output.empty() ? 0 : static_cast<size_t>(ensemble.tree_output[i]);
    TY_ASSIGN_OR_RETURN(const CodeWalker walker, CodeWalker::Make(tree, features));
    const std::vector<double> values = ShrinkagePath(tree, scheme, lambdas);
    SumInBlocks(rows.size(), pool, [&](size_t begin, size_t end) {
      for (size_t r = begin; r < end; ++r) {
        const size_t leaf = static_cast<size_t>(walker.FindLeaf(rows[r]));
        for (size_t s = 0; s < lambdas.size(); ++s) {
          part(s, output)[r] += values[leaf * lambdas.size() + s];
        }
      }
      return 0.0;
    });
  }
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
