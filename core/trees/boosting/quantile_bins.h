// Where the bins of a numeric feature end.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/trees/stop_token.h"

namespace trainyard {

// Thresholds between the bins of a feature, ascending: bin b holds the values in
// (threshold[b-1], threshold[b]]. NaN values are left out. With at most `max_bins` distinct values
// each has its own bin; otherwise a value with a share of at least 1 / max_bins of the weight gets
// its own (but for smaller values before it that fill less than half a bin), and the rest is cut
// into bins of about equal weight. Thresholds are midpoints between neighbouring distinct values.
// `weights` (>= 0) has one entry per value, or is empty for 1; values of weight 0 are left out.
// `max_bins` >= 1; at most max_bins - 1 thresholds. Radix sort, linear. Meaningless once `stop` is
// set.
std::vector<double> QuantileThresholds(std::span<const double> values,
                                       std::span<const double> weights, int max_bins,
                                       StopToken& stop);

}  // namespace trainyard
