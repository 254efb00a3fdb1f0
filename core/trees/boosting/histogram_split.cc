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
    } else {
      ScanNumbers(missing);
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
  void Offer(const GradientSums& left, const GradientSums& right, const LeftCodes& left_codes) {
    const double gain = Gain(left, right);
    if (gain <= best_.gain) return;
    best_.feature = feature_;
    best_.gain = gain;
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

  // Sums over the bins up to each code.
  struct Prefixes {
    std::array<double, 256> gradient;
    std::array<double, 256> hessian;
    std::array<double, 256> rows;
  };

  template <int kWords>
  void FillPrefixes(int cuts, Prefixes& prefixes) const {
    int64_t running[2] = {0, 0};
    for (int c = 0; c < cuts; ++c) {
      const int64_t* bin = sums_ + c * kWords;
      running[0] += bin[0];
      if constexpr (kWords == 2) running[1] += bin[1];
      const GradientSums sums = format_.Unpack<kWords>(running);
      const size_t i = static_cast<size_t>(c);
      prefixes.gradient[i] = sums.gradient;
      prefixes.hessian[i] = sums.hessian;
      prefixes.rows[i] = static_cast<double>(sums.rows);
    }
  }

  // Gain of the cut after each code, `extra` (the missing values, or nothing) being left too. The
  // same numbers as Gain, without branches.
  void FreeGains(const Prefixes& prefixes, size_t cuts, const GradientSums& extra,
                 double* gains) const {
    const double total_rows = static_cast<double>(node_.rows);
    const double extra_rows = static_cast<double>(extra.rows);
    const double min_rows = static_cast<double>(rules_.min_rows);
    for (size_t c = 0; c < cuts; ++c) {
      const double gradient = prefixes.gradient[c] + extra.gradient;
      const double hessian = prefixes.hessian[c] + extra.hessian;
      const double rows = prefixes.rows[c] + extra_rows;
      const double other_gradient = node_.gradient - gradient;
      const double other_hessian = node_.hessian - hessian;
      const double curvature = hessian + rules_.l2;
      const double other_curvature = other_hessian + rules_.l2;
      const double score =
          (curvature > 0 ? gradient * gradient / curvature : 0) +
          (other_curvature > 0 ? other_gradient * other_gradient / other_curvature : 0);
      const double gain = score - parent_score_;
      const bool allowed = (rows >= min_rows) & (total_rows - rows >= min_rows) &
                           (hessian >= rules_.min_hessian) & (other_hessian >= rules_.min_hessian) &
                           (gain > kLeastGain * score);
      gains[c] = allowed ? gain : 0;
    }
  }

  void ConstrainedGains(const Prefixes& prefixes, size_t cuts, const GradientSums& extra,
                        double* gains) const {
    for (size_t c = 0; c < cuts; ++c) {
      const GradientSums left = LeftOf(prefixes, c, extra);
      gains[c] = Gain(left, Minus(node_, left));
    }
  }

  static GradientSums LeftOf(const Prefixes& prefixes, size_t cut, const GradientSums& extra) {
    return {prefixes.gradient[cut] + extra.gradient, prefixes.hessian[cut] + extra.hessian,
            static_cast<int64_t>(prefixes.rows[cut]) + extra.rows};
  }

  // Of the cuts that split the node's rows like `cut`, the lowest such, the one whose threshold is
  // nearest to the middle between the rows.
  int MiddleCut(const Prefixes& prefixes, size_t cut, int last) const {
    const std::span<const double> thresholds = features_.thresholds(feature_);
    size_t highest = cut;
    while (highest + 1 < static_cast<size_t>(last) &&
           prefixes.rows[highest + 1] == prefixes.rows[cut]) {
      ++highest;
    }
    const double middle = thresholds[cut] / 2 + thresholds[highest] / 2;
    const auto above =
        std::lower_bound(thresholds.begin() + static_cast<ptrdiff_t>(cut),
                         thresholds.begin() + static_cast<ptrdiff_t>(highest), middle);
    size_t nearest = static_cast<size_t>(above - thresholds.begin());
    if (nearest > cut && middle - thresholds[nearest - 1] <= thresholds[nearest] - middle) {
      --nearest;
    }
    return static_cast<int>(nearest);
  }

  void ScanNumbers(const GradientSums& missing) {
    const int last = features_.bin_count(feature_) - 1;
    // Without missing values the last bin has no cut after it.
    const int cuts = missing.rows > 0 ? last + 1 : last;
    Prefixes prefixes;
    if (format_.words == 1) {
      FillPrefixes<1>(cuts, prefixes);
    } else {
      FillPrefixes<2>(cuts, prefixes);
    }
    std::array<double, 256> gains;
    for (const bool missing_left : {false, true}) {
      if (missing_left && missing.rows == 0) break;
      const GradientSums extra = missing_left ? missing : GradientSums();
      const size_t count = static_cast<size_t>(cuts);
      if (constrained_) {
        ConstrainedGains(prefixes, count, extra, gains.data());
      } else {
        FreeGains(prefixes, count, extra, gains.data());
      }
      double best = best_.gain;
      size_t best_cut = count;
      for (size_t c = 0; c < count; ++c) {
        if (gains[c] > best) {
          best = gains[c];
          best_cut = c;
        }
      }
      if (best_cut == count) continue;
      best_.feature = feature_;
      best_.gain = best;
      best_.left = LeftOf(prefixes, best_cut, extra);
      best_.right = Minus(node_, best_.left);
      // Where only missing values are right, all values that are to come go left.
      const bool only_missing_right = !missing_left && best_.right.rows == missing.rows;
      best_.last_left_code = only_missing_right ? last : MiddleCut(prefixes, best_cut, last);
      best_.left_codes = NumberCodes(best_.last_left_code, missing_left);
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
    // Where all rows are on levels with bins or missing, one end left is the other end right.
    const int ends = format_.Unpack(At(features_.bin_count(feature_) - 1)).rows > 0 ? 2 : 1;
    for (int end = 0; end < ends; ++end) {
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
          Offer(side, Minus(node_, side), [&] {
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
