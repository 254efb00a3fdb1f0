// Shared by the losses, which are made in regression_losses.cc and class_losses.cc.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "core/trees/boosting/boosting_loss.h"
#include "core/trees/boosting/vector_exp.h"

namespace trainyard {

// The loss of `options` whose kind is `loss`, a loss of real targets.
std::unique_ptr<BoostingLoss> MakeRegressionLoss(v1::BoostingOptions::Loss loss,
                                                 const v1::BoostingOptions& options);
// LOSS_LOGISTIC, or LOSS_SOFTMAX of so many classes.
std::unique_ptr<BoostingLoss> MakeClassLoss(v1::BoostingOptions::Loss loss, int classes);

inline double WeightSum(const ScoredRows& data, std::span<const uint32_t> rows) {
  double sum = 0;
  for (const uint32_t row : rows) sum += data.WeightOf(row);
  return sum;
}

// Calls `visit(row, e)` for every row, e being exp(exponent_of(row)), computed many at a time.
template <typename ExponentOf, typename Visit>
void ForEachExp(std::span<const uint32_t> rows, const ExponentOf& exponent_of, const Visit& visit) {
  constexpr size_t kTile = 512;
  std::array<double, kTile> values;
  for (size_t begin = 0; begin < rows.size(); begin += kTile) {
    const size_t count = std::min(kTile, rows.size() - begin);
    for (size_t i = 0; i < count; ++i) values[i] = exponent_of(rows[begin + i]);
    ExpInPlace(std::span(values).first(count));
    for (size_t i = 0; i < count; ++i) visit(rows[begin + i], values[i]);
  }
}

}  // namespace trainyard
