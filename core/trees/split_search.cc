#include "core/trees/split_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/trees/split_criteria.h"

namespace trainyard {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kRounding = 1e-13;           // more than the scores' own
constexpr int64_t kBlock = int64_t{1} << 18;  // entries between questions to the stop token

// The best candidate so far. `cut` is the number of present entries (numeric) or of ordered levels
// (categorical) on the left; in a one-against-rest search it is the number of the level.
struct BestCut {
  double score = -kInfinity;
  double bound = -kInfinity;  // a better one scores at least this
  double left_weight = 0;
  int64_t cut = -1;
  bool missing_left = false;
};

// Half-open ranges of entries with equal rank: the levels of a category in a node.
template <typename Sums>
struct Level {
  int32_t code;
  int64_t rows;
  double key;
  Sums sums;
};

template <typename Criterion>
class SearcherOf final : public SplitSearcher {
 public:
  using Sums = typename Criterion::Sums;

  explicit SearcherOf(const NodeRows& rows)
      : criterion_(rows),
        decrease_factor_(rows.classification() ? 1.0 : 1.0 / static_cast<double>(rows.outputs())) {}

  void Totals(RowRange range, std::vector<double>& totals) const override {
    Sums sums = criterion_.Zero();
    for (uint32_t i = range.begin; i < range.end; ++i) criterion_.Add(sums, i);
    totals.assign(sums.begin(), sums.end());
  }

  Split Search(const FeatureSegment& segment, std::span<const double> totals,
               const SplitLimits& limits, double tolerance, StopToken& stop) const override {
    const std::span<const OrderEntry> entries = segment.entries;
    if (entries.empty() || entries.front().rank == entries.back().rank) return {};
    int64_t present = static_cast<int64_t>(entries.size());
    if (entries.back().rank == segment.missing_rank) {
      const auto first_missing =
          std::lower_bound(entries.begin(), entries.end(), segment.missing_rank,
                           [](const OrderEntry& e, uint32_t rank) { return e.rank < rank; });
      present = first_missing - entries.begin();
    }
    Sums total = criterion_.Zero();
    std::copy(totals.begin(), totals.end(), total.begin());
    Sums missing = criterion_.Zero();
    for (const OrderEntry& entry : entries.subspan(static_cast<size_t>(present))) {
      criterion_.Add(missing, entry.row);
    }
    const Node node{static_cast<int64_t>(entries.size()),
                    present,
                    total,
                    missing,
                    limits,
                    tolerance / decrease_factor_,
                    criterion_.Value(total)};
    return segment.categorical ? SearchLevels(segment.feature, node, GatherLevels(entries, node))
                               : SearchNumbers(segment, node, stop);
  }

  Split SearchByCounting(const FeatureRanks& feature, std::span<const double> totals,
                         const SplitLimits& limits, double tolerance) const override {
    thread_local std::vector<Bin> bins;
    bins.assign(static_cast<size_t>(feature.greatest - feature.least) + 1,
                Bin{0, criterion_.Zero()});
    Sums total = criterion_.Zero();
    std::copy(totals.begin(), totals.end(), total.begin());
    Sums missing = criterion_.Zero();
    const int64_t rows = feature.range.size();
    for (int64_t i = 0; i < rows; ++i) {
      const uint32_t rank = feature.ranks[i];
      const uint32_t position = feature.range.begin + static_cast<uint32_t>(i);
      if (feature.missing_rows > 0 && rank == feature.missing_rank) {
        criterion_.Add(missing, position);
        continue;
      }
      Bin& bin = bins[rank - feature.least];
      ++bin.rows;
      criterion_.Add(bin.sums, position);
    }
    const Node node{rows,
                    rows - feature.missing_rows,
                    total,
                    missing,
                    limits,
                    tolerance / decrease_factor_,
                    criterion_.Value(total)};
    return feature.categorical ? SearchLevels(feature.feature, node, LevelsOf(feature, bins))
                               : SearchBins(feature, node, bins);
  }

  Split ScoreCut(const FeatureRanks& feature, uint32_t last_left_rank,
                 std::span<const double> totals, const SplitLimits& limits,
                 double tolerance) const override {
    thread_local std::vector<uint32_t> chosen;
    const int64_t rows = feature.range.size();
    chosen.resize(static_cast<size_t>(rows) + 1);
    const auto sum_where = [&](const auto& condition, Sums& sums) {
      size_t count = 0;
      for (int64_t i = 0; i < rows; ++i) {
        chosen[count] = feature.range.begin + static_cast<uint32_t>(i);
        count += condition(feature.ranks[i]) ? 1 : 0;
      }
      for (size_t i = 0; i < count; ++i) criterion_.Add(sums, chosen[i]);
      return static_cast<int64_t>(count);
    };
    Sums total = criterion_.Zero();
    std::copy(totals.begin(), totals.end(), total.begin());
    Sums left = criterion_.Zero();
    const int64_t left_rows =
        sum_where([last_left_rank](uint32_t rank) { return rank <= last_left_rank; }, left);
    Sums missing = criterion_.Zero();
    if (feature.missing_rows > 0) {
      sum_where([&](uint32_t rank) { return rank == feature.missing_rank; }, missing);
    }
    const Node node{rows,
                    rows - feature.missing_rows,
                    total,
                    missing,
                    limits,
                    tolerance / decrease_factor_,
                    criterion_.Value(total)};
    BestCut best;
    Consider(node, left, left_rows, left_rows, false, best);
    if (feature.missing_rows > 0) {
      for (size_t k = 0; k < left.size(); ++k) left[k] += missing[k];
      Consider(node, left, left_rows + feature.missing_rows, left_rows, true, best);
    }
    if (best.cut < 0) return {};
    Split split = MakeSplit(feature.feature, node, best);
    split.last_left_rank = last_left_rank;
    return split;
  }

 private:
  struct Node {
    int64_t rows;
    int64_t present;
    const Sums& total;
    const Sums& missing;
    const SplitLimits& limits;
    double tolerance;
    double total_value;

    int64_t missing_rows() const { return rows - present; }
  };
  // The rows of one rank.
  struct Bin {
    int64_t rows;
    Sums sums;
  };

  void Consider(const Node& node, const Sums& left, int64_t left_rows, int64_t cut,
                bool missing_left, BestCut& best) const {
    if (!criterion_.MayBeat(left, node.total, best.bound)) return;
    if (left_rows < node.limits.min_rows || node.rows - left_rows < node.limits.min_rows) return;
    const double right_weight = node.total[0] - left[0];
    if (left[0] < node.limits.min_weight || right_weight < node.limits.min_weight) return;
    if (!(left[0] > 0) || !(right_weight > 0)) return;
    const double score = criterion_.Score(left, node.total);
    if (!(score > best.score + node.tolerance)) return;
    const double bound = score + node.tolerance;
    best = {score, bound - kRounding * std::abs(bound), left[0], cut, missing_left};
  }

  // Scores all cuts between distinct values with the missing rows on one side; with them on the
  // right also the cut between all present and all missing rows.
  void ScanNumbers(const OrderEntry* entries, const Node& node, bool missing_left, StopToken& stop,
                   BestCut& best) const {
    Sums left = missing_left ? node.missing : criterion_.Zero();
    const int64_t offset = missing_left ? node.missing_rows() : 0;
    const int64_t cuts = missing_left || node.missing_rows() == 0 ? node.present - 1 : node.present;
    const int64_t last = std::clamp<int64_t>(node.rows - offset - node.limits.min_rows, 0, cuts);
    const int64_t first_cut = std::clamp<int64_t>(node.limits.min_rows - offset - 1, 0, last);
    for (int64_t i = 0; i < first_cut; ++i) criterion_.Add(left, entries[i].row);
    for (int64_t block = first_cut; block < last; block += kBlock) {
      const int64_t end = std::min(block + kBlock, last);
      for (int64_t i = block; i < end; ++i) {
        criterion_.Add(left, entries[i].row);
        if (entries[i].rank == entries[i + 1].rank) continue;
        Consider(node, left, offset + i + 1, i + 1, missing_left, best);
      }
      if (end < last && stop.Ask()) return;
    }
  }

  Split SearchNumbers(const FeatureSegment& segment, const Node& node, StopToken& stop) const {
    BestCut best;
    ScanNumbers(segment.entries.data(), node, false, stop, best);
    if (node.missing_rows() > 0) ScanNumbers(segment.entries.data(), node, true, stop, best);
    if (best.cut < 0) return {};
    Split split = MakeSplit(segment.feature, node, best);
    split.last_left_rank = segment.entries[static_cast<size_t>(best.cut - 1)].rank;
    if (best.cut < node.present) {
      split.first_right_rank = segment.entries[static_cast<size_t>(best.cut)].rank;
    }
    return split;
  }

  // `cut` of the candidates is the number of the last bin on the left.
  void ScanBins(const std::vector<Bin>& bins, const Node& node, bool missing_left,
                BestCut& best) const {
    Sums left = missing_left ? node.missing : criterion_.Zero();
    int64_t left_rows = missing_left ? node.missing_rows() : 0;
    const size_t last = missing_left || node.missing_rows() == 0 ? bins.size() - 1 : bins.size();
    for (size_t b = 0; b < last; ++b) {
      if (bins[b].rows == 0) continue;
      for (size_t k = 0; k < left.size(); ++k) left[k] += bins[b].sums[k];
      left_rows += bins[b].rows;
      Consider(node, left, left_rows, static_cast<int64_t>(b), missing_left, best);
    }
  }

  Split SearchBins(const FeatureRanks& feature, const Node& node,
                   const std::vector<Bin>& bins) const {
    BestCut best;
    ScanBins(bins, node, false, best);
    if (node.missing_rows() > 0) ScanBins(bins, node, true, best);
    if (best.cut < 0) return {};
    Split split = MakeSplit(feature.feature, node, best);
    split.last_left_rank = feature.least + static_cast<uint32_t>(best.cut);
    size_t upper = static_cast<size_t>(best.cut) + 1;
    while (upper < bins.size() && bins[upper].rows == 0) ++upper;
    if (upper < bins.size()) split.first_right_rank = feature.least + static_cast<uint32_t>(upper);
    return split;
  }

  std::vector<Level<Sums>> LevelsOf(const FeatureRanks& feature,
                                    const std::vector<Bin>& bins) const {
    std::vector<Level<Sums>> levels;
    for (size_t b = 0; b < bins.size(); ++b) {
      if (bins[b].rows == 0) continue;
      levels.push_back({static_cast<int32_t>(feature.least + b), bins[b].rows, 0, bins[b].sums});
    }
    return levels;
  }

  std::vector<Level<Sums>> GatherLevels(std::span<const OrderEntry> entries,
                                        const Node& node) const {
    std::vector<Level<Sums>> levels;
    for (const OrderEntry& entry : entries.first(static_cast<size_t>(node.present))) {
      const int32_t code = static_cast<int32_t>(entry.rank);
      if (levels.empty() || levels.back().code != code) {
        levels.push_back({code, 0, 0, criterion_.Zero()});
      }
      ++levels.back().rows;
      criterion_.Add(levels.back().sums, entry.row);
    }
    return levels;
  }

  // Left sides are the first levels by mean response, or single levels; the missing rows join
  // either.
  void ScanLevels(const Node& node, const std::vector<Level<Sums>>& levels, bool missing_left,
                  BestCut& best) const {
    const Sums start = missing_left ? node.missing : criterion_.Zero();
    const int64_t start_rows = missing_left ? node.missing_rows() : 0;
    Sums left = start;
    int64_t left_rows = start_rows;
    for (size_t i = 0; i < levels.size(); ++i) {
      const bool all_present = i + 1 == levels.size() && (Criterion::kOrdersLevels || i == 0);
      if (!Criterion::kOrdersLevels) {
        left = start;
        left_rows = start_rows;
      }
      for (size_t k = 0; k < left.size(); ++k) left[k] += levels[i].sums[k];
      left_rows += levels[i].rows;
      // All levels left is a split only from the missing rows.
      if (all_present && (missing_left || node.missing_rows() == 0)) continue;
      Consider(node, left, left_rows, static_cast<int64_t>(i), missing_left, best);
    }
  }

  Split SearchLevels(int32_t feature, const Node& node, std::vector<Level<Sums>> levels) const {
    if (Criterion::kOrdersLevels) {
      for (Level<Sums>& level : levels) level.key = criterion_.LevelKey(level.sums);
      std::stable_sort(levels.begin(), levels.end(),
                       [](const Level<Sums>& a, const Level<Sums>& b) { return a.key < b.key; });
    }
    BestCut best;
    ScanLevels(node, levels, false, best);
    const int64_t all = static_cast<int64_t>(levels.size());
    if (node.missing_rows() > 0) {
      ScanLevels(node, levels, true, best);
      if (!Criterion::kOrdersLevels && all > 1) {
        Sums present = node.total;
        for (size_t k = 0; k < present.size(); ++k) present[k] -= node.missing[k];
        Consider(node, present, node.present, all, false, best);
      }
    }
    if (best.cut < 0) return {};
    std::vector<uint8_t> on_left(levels.size(), 0);
    for (int64_t i = 0; i < all; ++i) {
      on_left[static_cast<size_t>(i)] =
          Criterion::kOrdersLevels || best.cut == all ? i <= best.cut : i == best.cut;
    }
    return LevelSplit(feature, node, best, levels, on_left);
  }

  // Orients the split so that the missing rows, and with them levels not seen here, go right;
  // without missing rows the heavier side is the right one.
  Split LevelSplit(int32_t feature, const Node& node, const BestCut& best,
                   const std::vector<Level<Sums>>& levels,
                   const std::vector<uint8_t>& on_left) const {
    bool swap_sides = best.missing_left;
    if (node.missing_rows() == 0) {
      double left_weight = 0;
      for (size_t i = 0; i < levels.size(); ++i) left_weight += on_left[i] ? levels[i].sums[0] : 0;
      swap_sides = left_weight > node.total[0] - left_weight;
    }
    Split split = MakeSplit(feature, node, best);
    if (swap_sides) split.left_weight = node.total[0] - split.left_weight;
    split.missing_left = false;
    for (size_t i = 0; i < levels.size(); ++i) {
      if ((on_left[i] != 0) != swap_sides) split.left_levels.push_back(levels[i].code);
    }
    std::sort(split.left_levels.begin(), split.left_levels.end());
    return split;
  }

  Split MakeSplit(int32_t feature, const Node& node, const BestCut& best) const {
    Split split;
    split.feature = feature;
    split.left_weight = best.left_weight;
    split.decrease = (best.score - node.total_value) * decrease_factor_;
    split.saw_missing = node.missing_rows() > 0;
    split.missing_left = best.missing_left;
    return split;
  }

  const Criterion criterion_;
  const double decrease_factor_;
};

template <template <bool, bool, bool> typename Classes>
std::unique_ptr<SplitSearcher> MakeClassSearcher(const NodeRows& rows) {
  const bool table = !rows.log_table().empty();
  if (rows.weighted()) {
    if (!rows.entropy()) return std::make_unique<SearcherOf<Classes<true, false, false>>>(rows);
    if (table) return std::make_unique<SearcherOf<Classes<true, true, true>>>(rows);
    return std::make_unique<SearcherOf<Classes<true, true, false>>>(rows);
  }
  if (!rows.entropy()) return std::make_unique<SearcherOf<Classes<false, false, false>>>(rows);
  if (table) return std::make_unique<SearcherOf<Classes<false, true, true>>>(rows);
  return std::make_unique<SearcherOf<Classes<false, true, false>>>(rows);
}

template <bool kWeighted>
std::unique_ptr<SplitSearcher> MakeRegressionSearcher(const NodeRows& rows) {
  if (rows.criterion() == v1::CartOptions::CRITERION_POISSON) {
    if (rows.outputs() == 1)
      return std::make_unique<SearcherOf<PoissonDevianceOfOne<kWeighted>>>(rows);
    return std::make_unique<SearcherOf<PoissonDeviance<kWeighted>>>(rows);
  }
  if (rows.outputs() == 1) return std::make_unique<SearcherOf<SquaredErrorOfOne<kWeighted>>>(rows);
  return std::make_unique<SearcherOf<SquaredErrorOfMany<kWeighted>>>(rows);
}

}  // namespace

std::unique_ptr<SplitSearcher> MakeSplitSearcher(const NodeRows& rows) {
  if (rows.classification()) {
    return rows.outputs() == 2 ? MakeClassSearcher<TwoClasses>(rows)
                               : MakeClassSearcher<ManyClasses>(rows);
  }
  return rows.weighted() ? MakeRegressionSearcher<true>(rows) : MakeRegressionSearcher<false>(rows);
}

}  // namespace trainyard
