// Which of several splits a node takes, and its threshold.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/trees/split_search.h"

namespace trainyard {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kRatioTolerance = 1e-12;  // gain ratios closer than this are equal

// Bits that it takes to say on which side a row is, times the node's weight.
double SplitInformation(const Split& split, double node_weight) {
  double information = 0;
  for (const double side : {split.left_weight, node_weight - split.left_weight}) {
    if (side > 0) information -= side * std::log2(side / node_weight);
  }
  return information;
}

}  // namespace

int ChooseSplit(v1::CartOptions::Criterion criterion, std::span<const Split> splits,
                double node_weight, double tolerance) {
  const bool by_ratio = criterion == v1::CartOptions::CRITERION_GAIN_RATIO;
  double sum = 0;
  double count = 0;
  for (const Split& split : splits) {
    sum += split.found() ? split.decrease : 0;
    count += split.found() ? 1 : 0;
  }
  const double least = by_ratio ? sum / std::max(count, 1.0) - tolerance : -kInfinity;
  int best = -1;
  double best_score = 0;
  for (size_t i = 0; i < splits.size(); ++i) {
    if (!splits[i].found() || splits[i].decrease < least) continue;
    const double score = by_ratio ? splits[i].decrease / SplitInformation(splits[i], node_weight)
                                  : splits[i].decrease;
    const double slack = by_ratio ? kRatioTolerance : tolerance;
    if (best >= 0 && score <= best_score + slack) continue;
    best = static_cast<int>(i);
    best_score = score;
  }
  return best;
}

double ThresholdOf(const Split& split, std::span<const double> values) {
  if (split.first_right_rank == kNoRank) return kInfinity;
  return MidpointThreshold(values[split.last_left_rank], values[split.first_right_rank]);
}

double MidpointThreshold(double lower, double upper) {
  const double midpoint = lower / 2 + upper / 2;
  return midpoint >= lower && midpoint < upper ? midpoint : lower;
}

}  // namespace trainyard
