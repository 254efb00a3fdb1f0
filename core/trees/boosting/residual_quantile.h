// Quantiles of weighted numbers.
#pragma once

#include <span>

namespace trainyard {

// A number and its weight, > 0.
struct WeightedValue {
  double value;
  double weight;
};

// The least value whose weight, together with that of all lesser ones, is at least `level` (0 to 1)
// of the total; 0 for no values. Leaves the
// values in any order. Linear on average.
double LowerQuantile(std::span<double> values, double level);
// The same with weights: equal to the above where each weight is the number of times that the value
// is repeated there. O(n log n).
double LowerQuantile(std::span<WeightedValue> values, double level);

}  // namespace trainyard
