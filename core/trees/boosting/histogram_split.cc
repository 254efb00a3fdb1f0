#include "core/trees/boosting/histogram_split.h"

#include <algorithm>
#include <cmath>

namespace trainyard {
namespace {

// Gains below this share of the score are rounding.
constexpr double kLeastGain = 1e-12;

GradientSums Minus(const GradientSums& a, const GradientSums& b) {
  return {a.gradient - b.gradient, a.hessian - b.hessian, a.rows - b.rows};
}

// The search over one feature of one node; keeps the best split seen.
class Search {
 public:
  Search(const BinnedFeatures& features, int32_t feature, const GradientFormat& format,
         const int64_t* sums, const GradientSums& node, const SplitRules& rules,
         const ValueBounds& bounds, int direction)
      : features_(features),
        feature_(feature),
        format_(format),
        sums_(sums),
        node_(node),
        rules_(rules),
        bounds_(bounds),
        direction_(direction),
        constrained_(direction != 0 || std::isfinite(bounds.low) || std::isfinite(bounds.high)),
        parent_score_(Score(node)) {}

  HistogramSplit Run() {
    const GradientSums missing = format_.Unpack(At(features_.missing_code(feature_)));
    best_.saw_missing = missing.rows > 0;
    if (features_.categorical(feature_)) {
      ScanLevels(missing);
    } else if (format_.words == 1) {
      ScanNumbers<1>(missing);
    } else {
      ScanNumbers<2>(missing);
    }
    return best_;
  }

 private:
  const int64_t* At(int code) const { return sums_ + code * format_.words; }

  double Step(const GradientSums& side) const {
    return std::clamp(NewtonStep(side, rules_.l2), bounds_.low, bounds_.high);
  }
  double Score(const GradientSums& side) const {
    const double curvature = side.hessian + rules_.l2;
    if (!constrained_) return curvature > 0 ? side.gradient * side.gradient / curvature : 0;
    const double step = Step(side);
    return -(2 * side.gradient + curvature * step) * step;
  }
  bool Allowed(const GradientSums& side) const {
    return side.rows >= rules_.min_rows && side.hessian >= rules_.min_hessian;
  }

  // Gain of a split, or 0 where it is not allowed or gains nothing.
  double Gain(const GradientSums& left, const GradientSums& right) const {
    if (!Allowed(left) || !Allowed(right)) return 0;
    if (direction_ != 0 && direction_ * (Step(right) - Step(left)) < 0) return 0;
    const double score = Score(left) + Score(right);
    const double gain = score - parent_score_;
    return gain > kLeastGain * std::abs(score) ? gain : 0;
  }

  // Takes the split when it is better than the best so far; `left_codes()` makes its left side.
  template <typename LeftCodes>
  void Offer(const GradientSums& left, const GradientSums& right, int last_left_code,
             const LeftCodes& left_codes) {
    const double gain = Gain(left, right);
    if (gain <= best_.gain) return;
    best_.feature = feature_;
    best_.gain = gain;
    best_.last_left_code = last_left_code;
    best_.left = left;
    best_.right = right;
    best_.left_codes = left_codes();
  }

  CodeSet NumberCodes(int last_code, bool missing_left) const {
    CodeSet codes;
    for (int c = 0; c <= last_code; ++c) codes.Insert(static_cast<size_t>(c));
    if (missing_left) codes.Insert(static_cast<size_t>(features_.missing_code(feature_)));
    return codes;
  }

  template <int kWords>
  void ScanNumbers(const GradientSums& missing) {
    const int last = features_.bin_count(feature_) - 1;
    int64_t running[2] = {0, 0};
    GradientSums left;
    for (int c = 0; c <= last; ++c) {
      const int64_t* bin = At(c);
      running[0] += bin[0];
      if constexpr (kWords == 2) running[1] += bin[1];
      const GradientSums sums = format_.Unpack(running);
      if (sums.rows == left.rows) continue;  // an empty bin: the same split as before
      left = sums;
      const GradientSums right = Minus(node_, left);
      if (right.rows == 0) break;
      const bool only_missing_right = right.rows == missing.rows;
      const int cut = only_missing_right ? last : c;
      Offer(left, right, cut, [&] { return NumberCodes(cut, false); });
      if (only_missing_right) break;
      if (missing.rows == 0) continue;
      const GradientSums with_missing = {left.gradient + missing.gradient,
                                         left.hessian + missing.hessian, left.rows + missing.rows};
      Offer(with_missing, Minus(node_, with_missing), c, [&] { return NumberCodes(c, true); });
    }
  }

  struct Level {
    int code;
    double rank;
    GradientSums sums;
  };

  std::vector<Level> OrderedLevels() const {
    std::vector<Level> levels;
    const int level_bins = features_.bin_count(feature_) - 1;
    for (int c = 0; c < level_bins; ++c) {
      const GradientSums sums = format_.Unpack(At(c));
      if (sums.rows == 0) continue;
      const double curvature = sums.hessian + rules_.category_smoothing;
      levels.push_back({c, curvature > 0 ? sums.gradient / curvature : 0, sums});
    }
    std::stable_sort(levels.begin(), levels.end(),
                     [](const Level& a, const Level& b) { return a.rank < b.rank; });
    return levels;
  }

  void ScanLevels(const GradientSums& missing) {
    std::vector<Level> levels = OrderedLevels();
    for (int end = 0; end < 2; ++end) {
      GradientSums left;
      for (size_t i = 0; i < levels.size(); ++i) {
        left.gradient += levels[i].sums.gradient;
        left.hessian += levels[i].sums.hessian;
        left.rows += levels[i].sums.rows;
        for (const bool missing_left : {false, true}) {
          if (missing_left && missing.rows == 0) continue;
          GradientSums side = left;
          if (missing_left) {
            side.gradient += missing.gradient;
            side.hessian += missing.hessian;
            side.rows += missing.rows;
          }
          if (side.rows == node_.rows) continue;
          Offer(side, Minus(node_, side), 0, [&] {
            CodeSet codes;
            for (size_t k = 0; k <= i; ++k) codes.Insert(static_cast<size_t>(levels[k].code));
            if (missing_left) codes.Insert(static_cast<size_t>(features_.missing_code(feature_)));
            return codes;
          });
        }
      }
      std::reverse(levels.begin(), levels.end());
    }
  }

  const BinnedFeatures& features_;
  const int32_t feature_;
  const GradientFormat& format_;
  const int64_t* sums_;
  const GradientSums& node_;
  const SplitRules& rules_;
  const ValueBounds& bounds_;
  const int direction_;
  const bool constrained_;
  const double parent_score_;
  HistogramSplit best_;
};

}  // namespace

HistogramSplit FindHistogramSplit(const BinnedFeatures& features, int32_t feature,
                                  const GradientFormat& format, const int64_t* sums,
                                  const GradientSums& node, const SplitRules& rules,
                                  const ValueBounds& bounds, int direction) {
  return Search(features, feature, format, sums, node, rules, bounds, direction).Run();
}

}  // namespace trainyard
