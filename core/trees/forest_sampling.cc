#include "core/trees/forest_sampling.h"

#include <algorithm>
#include <cmath>

namespace trainyard {
namespace {

using Options = v1::ForestOptions;

bool ResolveBootstrap(const Options& options) {
  if (options.has_bootstrap()) return options.bootstrap();
  return options.kind() != Options::KIND_EXTRA_TREES;
}

}  // namespace

ForestSampler::ForestSampler(const TreeTarget& target, std::span<const double> weights,
                             std::span<const uint32_t> rows, const Options& options)
    : target_(target),
      weights_(weights),
      class_weights_(options.class_weights()),
      bootstrap_(ResolveBootstrap(options)) {
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(rows_),
               [&](uint32_t row) { return WeightOf(row) > 0; });
  const double draws = options.max_samples() * static_cast<double>(rows_.size());
  draws_ = static_cast<uint64_t>(std::max(std::round(draws), 1.0));
  presorted_rows_ = rows_.empty() ? 0 : 1 + size_t{*std::max_element(rows_.begin(), rows_.end())};
  if (class_weights_ == Options::CLASS_WEIGHTS_BALANCED && target.classification()) {
    std::vector<uint32_t> once(presorted_rows_, 0);
    for (const uint32_t row : rows_) once[row] = 1;
    balance_ = BalanceClasses(once);
  }
}

void ForestSampler::DrawCounts(Rng& rng, std::vector<uint32_t>& counts) const {
  counts.assign(presorted_rows_, 0);
  if (!bootstrap_) {
    for (const uint32_t row : rows_) counts[row] = 1;
    return;
  }
  for (uint64_t i = 0; i < draws_; ++i) ++counts[rows_[rng.UniformInt(rows_.size())]];
}

void ForestSampler::WeightRows(std::span<const uint32_t> counts,
                               std::vector<double>& weights) const {
  weights.assign(presorted_rows_, 0);
  std::vector<double> per_tree;
  const bool classes = target_.classification();
  if (classes && class_weights_ == Options::CLASS_WEIGHTS_BALANCED_PER_TREE) {
    per_tree = BalanceClasses(counts);
  }
  const std::vector<double>& balance = per_tree.empty() ? balance_ : per_tree;
  for (const uint32_t row : rows_) {
    weights[row] = counts[row] * WeightOf(row);
    if (!balance.empty()) weights[row] *= balance[static_cast<size_t>(target_.classes[row])];
  }
}

std::vector<double> ForestSampler::BalanceClasses(std::span<const uint32_t> counts) const {
  std::vector<double> sums(static_cast<size_t>(target_.outputs), 0);
  double total = 0;
  for (const uint32_t row : rows_) {
    sums[static_cast<size_t>(target_.classes[row])] += counts[row] * WeightOf(row);
  }
  double present = 0;
  for (const double sum : sums) {
    total += sum;
    present += sum > 0 ? 1 : 0;
  }
  for (double& sum : sums) sum = sum > 0 ? total / (present * sum) : 1;
  return sums;
}

}  // namespace trainyard
