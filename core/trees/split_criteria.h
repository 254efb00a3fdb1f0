// Scores of splits. A criterion keeps sums over rows: their weight n and, per output, the weighted
// targets s_k (a regression) or the class weights (a classification). With
//   V = sum_k s_k^2 / n                            (squared error, gini)
//   V = sum_k s_k log2 s_k - n log2 n              (entropy)
//   V = sum_k s_k ln(s_k / n)                      (Poisson deviance)
// the decrease N(t) i(t) - N(a) i(a) - N(b) i(b) is V(a) + V(b) - V(t), for the criteria of a
// regression divided by the number of outputs. The variants for one target and for two classes keep
// two numbers. Entropy of whole weights looks x log2 x up.
//
// MayBeat is a fast test, without division or logarithm where that can be: false only if Score is
// below `bound` by more than rounding.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "absl/container/inlined_vector.h"
#include "core/trees/node_rows.h"

namespace trainyard {

// Squared error of one target.
template <bool kWeighted>
struct SquaredErrorOfOne {
  using Sums = std::array<double, 2>;  // n, s
  static constexpr bool kOrdersLevels = true;

  const double* values;
  const double* weights;

  explicit SquaredErrorOfOne(const NodeRows& rows)
      : values(rows.values()), weights(rows.weights()) {}
  Sums Zero() const { return {0, 0}; }
  void Add(Sums& sums, uint32_t position) const {
    const double weight = kWeighted ? weights[position] : 1.0;
    sums[0] += weight;
    sums[1] += weight * values[position];
  }
  double LevelKey(const Sums& sums) const { return sums[1] / sums[0]; }
  double Score(const Sums& left, const Sums& total) const {
    const double rest = total[1] - left[1];
    return left[1] * left[1] / left[0] + rest * rest / (total[0] - left[0]);
  }
  bool MayBeat(const Sums& left, const Sums& total, double bound) const {
    const double rest = total[1] - left[1];
    const double right = total[0] - left[0];
    return left[1] * left[1] * right + rest * rest * left[0] >= bound * (left[0] * right);
  }
  double Value(const Sums& sums) const { return sums[1] * sums[1] / sums[0]; }
};

// Gini impurity or entropy of two classes.
template <bool kWeighted, bool kEntropy, bool kTable>
struct TwoClasses {
  using Sums = std::array<double, 2>;  // n, weight of class 1
  static constexpr bool kOrdersLevels = true;

  const int32_t* classes;
  const double* weights;
  const double* log_table;

  explicit TwoClasses(const NodeRows& rows)
      : classes(rows.classes()), weights(rows.weights()), log_table(rows.log_table().data()) {}
  Sums Zero() const { return {0, 0}; }
  void Add(Sums& sums, uint32_t position) const {
    const double weight = kWeighted ? weights[position] : 1.0;
    sums[0] += weight;
    sums[1] += weight * static_cast<double>(classes[position]);
  }
  double LevelKey(const Sums& sums) const { return sums[1] / sums[0]; }
  double Score(const Sums& left, const Sums& total) const {
    return Value(left) + Value({total[0] - left[0], total[1] - left[1]});
  }
  bool MayBeat(const Sums& left, const Sums& total, double bound) const {
    if (kEntropy) return Score(left, total) >= bound;
    const double right = total[0] - left[0];
    const double right_one = total[1] - left[1];
    const double left_zero = left[0] - left[1];
    const double right_zero = right - right_one;
    const double a = left[1] * left[1] + left_zero * left_zero;
    const double b = right_one * right_one + right_zero * right_zero;
    return a * right + b * left[0] >= bound * (left[0] * right);
  }
  double Value(const Sums& sums) const {
    const double rest = sums[0] - sums[1];
    if (kEntropy) return XLogX(sums[1]) + XLogX(rest) - XLogX(sums[0]);
    return (sums[1] * sums[1] + rest * rest) / sums[0];
  }
  double XLogX(double x) const {
    if (kTable) return log_table[static_cast<size_t>(x)];
    return x > 0 ? x * std::log2(x) : 0;
  }
};

// Sums of any number of outputs: n, then one per output.
using ManySums = absl::InlinedVector<double, 12>;

// Squared error of several targets.
template <bool kWeighted>
struct SquaredErrorOfMany {
  using Sums = ManySums;
  static constexpr bool kOrdersLevels = false;

  const double* values;
  const double* weights;
  size_t outputs;

  explicit SquaredErrorOfMany(const NodeRows& rows)
      : values(rows.values()),
        weights(rows.weights()),
        outputs(static_cast<size_t>(rows.outputs())) {}
  Sums Zero() const { return Sums(outputs + 1, 0.0); }
  void Add(Sums& sums, uint32_t position) const {
    const double weight = kWeighted ? weights[position] : 1.0;
    sums[0] += weight;
    for (size_t k = 0; k < outputs; ++k) sums[k + 1] += weight * values[position * outputs + k];
  }
  double LevelKey(const Sums&) const { return 0; }
  double Score(const Sums& left, const Sums& total) const {
    double a = 0;
    double b = 0;
    for (size_t k = 1; k <= outputs; ++k) {
      const double rest = total[k] - left[k];
      a += left[k] * left[k];
      b += rest * rest;
    }
    return a / left[0] + b / (total[0] - left[0]);
  }
  bool MayBeat(const Sums& left, const Sums& total, double bound) const {
    return Score(left, total) >= bound;
  }
  double Value(const Sums& sums) const {
    double a = 0;
    for (size_t k = 1; k <= outputs; ++k) a += sums[k] * sums[k];
    return a / sums[0];
  }
};

// Poisson deviance of any number of targets. A split that leaves a side without a positive sum of
// some target (up to rounding) scores -infinity.
template <bool kWeighted>
struct PoissonDeviance : SquaredErrorOfMany<kWeighted> {
  using Sums = ManySums;
  static constexpr bool kOrdersLevels = false;

  using SquaredErrorOfMany<kWeighted>::SquaredErrorOfMany;
  double Score(const Sums& left, const Sums& total) const {
    double score = 0;
    for (size_t k = 1; k <= this->outputs; ++k) {
      score += Both(left[k], left[0], total[k], total[0]);
    }
    return score;
  }
  bool MayBeat(const Sums& left, const Sums& total, double bound) const {
    return Score(left, total) >= bound;
  }
  double Value(const Sums& sums) const {
    double value = 0;
    for (size_t k = 1; k <= this->outputs; ++k) {
      value += Term(sums[k], sums[0]);
    }
    return value;
  }
  static double Both(double left, double left_weight, double total, double weight) {
    constexpr double kRounding = 1e-13;
    const double right = total - left;
    if (std::min(left, right) <= kRounding * total) {
      // A target that is 0 in the whole node forbids nothing.
      return total > 0 ? -std::numeric_limits<double>::infinity() : 0;
    }
    return Term(left, left_weight) + Term(right, weight - left_weight);
  }
  static double Term(double sum, double weight) {
    return sum > 0 ? sum * std::log(sum / weight) : 0;
  }
};

// The same of one target, for which levels may be ordered.
template <bool kWeighted>
struct PoissonDevianceOfOne : SquaredErrorOfOne<kWeighted> {
  using Sums = std::array<double, 2>;
  using Many = PoissonDeviance<kWeighted>;

  using SquaredErrorOfOne<kWeighted>::SquaredErrorOfOne;
  double Score(const Sums& left, const Sums& total) const {
    return Many::Both(left[1], left[0], total[1], total[0]);
  }
  bool MayBeat(const Sums& left, const Sums& total, double bound) const {
    return Score(left, total) >= bound;
  }
  double Value(const Sums& sums) const { return Many::Term(sums[1], sums[0]); }
};

// Gini impurity or entropy of any number of classes.
template <bool kWeighted, bool kEntropy, bool kTable>
struct ManyClasses {
  using Sums = ManySums;
  static constexpr bool kOrdersLevels = false;

  const int32_t* classes;
  const double* weights;
  const double* log_table;
  size_t outputs;

  explicit ManyClasses(const NodeRows& rows)
      : classes(rows.classes()),
        weights(rows.weights()),
        log_table(rows.log_table().data()),
        outputs(static_cast<size_t>(rows.outputs())) {}
  Sums Zero() const { return Sums(outputs + 1, 0.0); }
  void Add(Sums& sums, uint32_t position) const {
    const double weight = kWeighted ? weights[position] : 1.0;
    sums[0] += weight;
    sums[1 + static_cast<size_t>(classes[position])] += weight;
  }
  double LevelKey(const Sums&) const { return 0; }
  double Score(const Sums& left, const Sums& total) const {
    const double rest = total[0] - left[0];
    double a = 0;
    double b = 0;
    for (size_t k = 1; k <= outputs; ++k) {
      a += Term(left[k]);
      b += Term(total[k] - left[k]);
    }
    return kEntropy ? a - XLogX(left[0]) + (b - XLogX(rest)) : a / left[0] + b / rest;
  }
  bool MayBeat(const Sums& left, const Sums& total, double bound) const {
    return Score(left, total) >= bound;
  }
  double Value(const Sums& sums) const {
    double a = 0;
    for (size_t k = 1; k <= outputs; ++k) a += Term(sums[k]);
    return kEntropy ? a - XLogX(sums[0]) : a / sums[0];
  }
  double Term(double x) const { return kEntropy ? XLogX(x) : x * x; }
  double XLogX(double x) const {
    if (kTable) return log_table[static_cast<size_t>(x)];
    return x > 0 ? x * std::log2(x) : 0;
  }
};

}  // namespace trainyard
