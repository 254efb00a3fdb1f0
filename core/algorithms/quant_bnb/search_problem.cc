#include "core/algorithms/quant_bnb/search_problem.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/data/mix_bits.h"
#include "core/trees/presort.h"
#include "core/trees/stop_token.h"

namespace trainyard::quant_bnb {
namespace {

using Kind = SearchFeature::Kind;

// Losses within this share of that of the best leaf count as equal.
constexpr double kRelativeTolerance = 1e-9;
// Rows of weight 1 are merged when at most this share of them remains: merged rows have weights,
// which cost more to add up.
constexpr double kWorthMerging = 0.75;

uint64_t Mix(uint64_t hash, uint32_t rank) {
  return MixBits(hash + rank + 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93);
}

bool IsWhole(double value) { return value == std::floor(value); }

}  // namespace

// Makes a problem from its input, step by step.
class SearchProblemBuilder {
 public:
  SearchProblemBuilder(const OptimalTreeInput& input, const v1::QuantBnbSpec& spec,
                       ThreadPool& pool, const std::function<absl::Status()>& check)
      : input_(input), spec_(spec), pool_(pool), stop_(check) {}

  absl::StatusOr<SearchProblem> Build() {
    SelectRows();
    TY_ASSIGN_OR_RETURN(
        PresortedFeatures sorted,
        PresortedFeatures::Build(input_.features, table_rows_, pool_, [this] { return Ask(); }));
    if (spec_.missing_values() == v1::QuantBnbSpec::MISSING_VALUES_REJECT) {
      TY_RETURN_IF_ERROR(RefuseMissing(sorted));
    }
    RankColumns(sorted);
    HashRows();
    TY_RETURN_IF_ERROR(Ask());
    MergeRows();
    AddUpTargets();
    TY_RETURN_IF_ERROR(Ask());
    MakeFeatures(sorted);
    TY_RETURN_IF_ERROR(Ask());
    DropEqualFeatures();
    TY_RETURN_IF_ERROR(Ask());
    Describe();
    return std::move(problem_);
  }

 private:
  absl::Status Ask() { return stop_.Ask() ? stop_.status() : absl::OkStatus(); }

  double GivenWeight(size_t i) const { return input_.weights.empty() ? 1.0 : input_.weights[i]; }

  void SelectRows() {
    for (size_t i = 0; i < input_.rows.size(); ++i) {
      if (GivenWeight(i) <= 0) continue;
      selected_.push_back(static_cast<uint32_t>(i));
      table_rows_.push_back(input_.rows[i]);
    }
  }

  absl::Status RefuseMissing(const PresortedFeatures& sorted) const {
    for (int c = 0; c < sorted.feature_count(); ++c) {
      const OrderEntry last = sorted.order(c).back();
      if (last.rank != sorted.missing_rank(c)) continue;
      return absl::InvalidArgumentError(absl::StrCat("row ", table_rows_[last.row] + 1,
                                                     " has no value of feature ", c,
                                                     ", and missing values are refused"));
    }
    return absl::OkStatus();
  }

  // The rank of each selected row in each column, missing values last.
  void RankColumns(const PresortedFeatures& sorted) {
    column_ranks_.resize(static_cast<size_t>(sorted.feature_count()));
    pool_.Run(sorted.feature_count(), [&](int64_t c, int) {
      if (stop_.Ask()) return;
      std::vector<uint32_t>& ranks = column_ranks_[static_cast<size_t>(c)];
      ranks.resize(selected_.size());
      for (const OrderEntry& entry : sorted.order(static_cast<int>(c))) {
        ranks[entry.row] = entry.rank;
      }
    });
  }

  // A number for each row, equal for equal rows.
  void HashRows() {
    constexpr size_t kBlock = 4096;
    hashes_.resize(selected_.size());
    const size_t blocks = (selected_.size() + kBlock - 1) / kBlock;
    pool_.Run(static_cast<int64_t>(blocks), [&](int64_t block, int) {
      if (stop_.Ask()) return;
      const size_t begin = static_cast<size_t>(block) * kBlock;
      const size_t end = std::min(begin + kBlock, selected_.size());
      for (size_t row = begin; row < end; ++row) {
        hashes_[row] =
            input_.classification() ? static_cast<uint64_t>(input_.classes[selected_[row]]) + 1 : 0;
      }
      for (const std::vector<uint32_t>& ranks : column_ranks_) {
        for (size_t row = begin; row < end; ++row) hashes_[row] = Mix(hashes_[row], ranks[row]);
      }
    });
  }

  bool SameRow(size_t a, size_t b) const {
    if (input_.classification() && input_.classes[selected_[a]] != input_.classes[selected_[b]]) {
      return false;
    }
    return std::all_of(column_ranks_.begin(), column_ranks_.end(),
                       [&](const std::vector<uint32_t>& ranks) { return ranks[a] == ranks[b]; });
  }

  // Numbers the distinct rows, in the order in which they come.
  void MergeRows() {
    merged_.resize(selected_.size());
    absl::flat_hash_map<uint64_t, uint32_t> first_of;
    first_of.reserve(selected_.size());
    for (size_t row = 0; row < selected_.size(); ++row) {
      const auto [found, added] = first_of.try_emplace(hashes_[row], static_cast<uint32_t>(row));
      // Rows that differ and have the same hash stay apart, which costs nothing but time.
      const bool equal = !added && SameRow(found->second, row);
      if (equal) {
        merged_[row] = merged_[found->second];
      } else {
        merged_[row] = static_cast<uint32_t>(representatives_.size());
        representatives_.push_back(static_cast<uint32_t>(row));
      }
    }
    const double distinct = static_cast<double>(representatives_.size());
    if (!input_.classification() || !input_.weights.empty() ||
        distinct <= kWorthMerging * static_cast<double>(selected_.size())) {
      return;
    }
    representatives_.resize(selected_.size());
    std::iota(representatives_.begin(), representatives_.end(), uint32_t{0});
    merged_ = representatives_;
  }

  void AddUpTargets() {
    const size_t count = representatives_.size();
    problem_.weights_.assign(count, 0);
    problem_.counts_.assign(count, 0);
    for (size_t row = 0; row < selected_.size(); ++row) {
      problem_.weights_[merged_[row]] += GivenWeight(selected_[row]);
      ++problem_.counts_[merged_[row]];
    }
    if (input_.classification()) {
      problem_.classes_.resize(count);
      for (size_t i = 0; i < count; ++i) {
        problem_.classes_[i] = input_.classes[selected_[representatives_[i]]];
      }
      problem_.costs_.assign(input_.costs.begin(), input_.costs.end());
    } else {
      AddUpValues();
    }
  }

  void AddUpValues() {
    const size_t outputs = static_cast<size_t>(input_.outputs);
    problem_.sums_.assign(representatives_.size() * outputs, 0);
    problem_.squares_.assign(representatives_.size() * outputs, 0);
    for (size_t o = 0; o < outputs; ++o) {
      double total = 0;
      double sum = 0;
      for (const uint32_t i : selected_) {
        total += GivenWeight(i);
        sum += GivenWeight(i) * input_.values[i * outputs + o];
      }
      const double mean = sum / total;
      for (size_t row = 0; row < selected_.size(); ++row) {
        const size_t i = selected_[row];
        const double value = input_.values[i * outputs + o] - mean;
        problem_.sums_[merged_[row] * outputs + o] += GivenWeight(i) * value;
        problem_.squares_[merged_[row] * outputs + o] += GivenWeight(i) * value * value;
      }
    }
  }

  // A search feature as it is made.
  struct Made {
    SearchFeature feature;
    std::vector<uint32_t> order;
    std::vector<uint32_t> ranks;
  };

  // Adds a search feature; `rank_of` gives the new rank by the column's. Ranks rise with `order`.
  template <typename RankOf>
  static void AddFeature(SearchFeature feature, const std::vector<OrderEntry>& order,
                         RankOf rank_of, std::vector<Made>& to) {
    Made made{feature, {}, std::vector<uint32_t>(order.size())};
    made.order.reserve(order.size());
    uint32_t rank = 0;
    for (size_t i = 0; i < order.size(); ++i) {
      const bool last =
          i + 1 == order.size() || rank_of(order[i].rank) != rank_of(order[i + 1].rank);
      made.order.push_back(order[i].row | (last ? kLastOfValue : 0));
      made.ranks[order[i].row] = rank;
      if (last) ++rank;
    }
    if (rank >= 2) to.push_back(std::move(made));
  }

  void MakeFeatures(const PresortedFeatures& sorted) {
    std::vector<std::vector<Made>> by_column(static_cast<size_t>(sorted.feature_count()));
    pool_.Run(sorted.feature_count(), [&](int64_t c, int) {
      if (stop_.Ask()) return;
      MakeColumnFeatures(sorted, static_cast<int>(c), by_column[static_cast<size_t>(c)]);
    });
    for (std::vector<Made>& column : by_column) {
      for (Made& made : column) {
        problem_.features_.push_back(made.feature);
        problem_.orders_.push_back(std::move(made.order));
        problem_.ranks_.push_back(std::move(made.ranks));
      }
    }
  }

  void MakeColumnFeatures(const PresortedFeatures& sorted, int column,
                          std::vector<Made>& to) const {
    std::vector<OrderEntry> order;
    order.reserve(representatives_.size());
    for (const OrderEntry& entry : sorted.order(column)) {
      const uint32_t row = merged_[entry.row];
      if (representatives_[row] == entry.row) order.push_back({row, entry.rank});
    }
    const uint32_t missing_rank = sorted.missing_rank(column);
    if (sorted.categorical(column)) {
      MakeLevelFeatures(column, order, missing_rank, to);
    } else {
      MakeNumberFeatures(column, std::move(order), missing_rank, to);
    }
  }

  static void MakeNumberFeatures(int column, std::vector<OrderEntry> order, uint32_t missing_rank,
                                 std::vector<Made>& to) {
    const bool missing = order.back().rank == missing_rank;
    AddFeature(
        {column, Kind::kNumber, 0}, order, [](uint32_t rank) { return rank; }, to);
    if (!missing || order.front().rank == missing_rank) return;
    const auto first_missing =
        std::partition_point(order.begin(), order.end(),
                             [&](const OrderEntry& entry) { return entry.rank != missing_rank; });
    // Missing values share the least rank: alone on the left they would be what kNumber's last
    // candidate has on the right.
    const uint32_t least = order.front().rank;
    std::rotate(order.begin(), first_missing, order.end());
    AddFeature(
        {column, Kind::kMissingFirst, 0}, order,
        [=](uint32_t rank) { return rank == missing_rank ? least : rank; }, to);
  }

  static void MakeLevelFeatures(int column, const std::vector<OrderEntry>& order,
                                uint32_t missing_rank, std::vector<Made>& to) {
    const bool missing = order.back().rank == missing_rank;
    std::vector<uint32_t> levels;
    for (const OrderEntry& entry : order) {
      if (levels.empty() || levels.back() != entry.rank) levels.push_back(entry.rank);
    }
    if (missing) levels.pop_back();
    // Two levels alone make the same split from either side.
    if (!missing && levels.size() == 2) levels.pop_back();
    for (const uint32_t level : levels) {
      const int32_t code = static_cast<int32_t>(level);
      AddLeft(
          {column, Kind::kLevel, code}, order, [=](uint32_t rank) { return rank == level; }, to);
      if (!missing || levels.size() < 2) continue;
      AddLeft(
          {column, Kind::kLevelAndMissing, code}, order,
          [=](uint32_t rank) { return rank == level || rank == missing_rank; }, to);
    }
    if (missing && levels.size() > 1) {
      AddLeft(
          {column, Kind::kPresent, 0}, order, [=](uint32_t rank) { return rank != missing_rank; },
          to);
    }
  }

  // Adds a feature of two values: the rows for which `goes_left` holds come first.
  template <typename GoesLeft>
  static void AddLeft(SearchFeature feature, std::vector<OrderEntry> order, GoesLeft goes_left,
                      std::vector<Made>& to) {
    const auto left = [&](const OrderEntry& entry) { return goes_left(entry.rank); };
    std::stable_partition(order.begin(), order.end(), left);
    AddFeature(
        feature, order, [&](uint32_t rank) { return goes_left(rank) ? 0 : 1; }, to);
  }

  void DropEqualFeatures() {
    absl::flat_hash_map<uint64_t, std::vector<size_t>> by_hash;
    size_t kept = 0;
    for (size_t f = 0; f < problem_.features_.size(); ++f) {
      if (stop_.Ask()) return;
      uint64_t hash = 1;
      for (const uint32_t rank : problem_.ranks_[f]) hash = Mix(hash, rank);
      std::vector<size_t>& alike = by_hash[hash];
      const bool repeated = std::any_of(alike.begin(), alike.end(), [&](size_t other) {
        return problem_.ranks_[other] == problem_.ranks_[f];
      });
      if (repeated) continue;
      alike.push_back(kept);
      if (kept != f) {
        problem_.features_[kept] = problem_.features_[f];
        problem_.orders_[kept] = std::move(problem_.orders_[f]);
        problem_.ranks_[kept] = std::move(problem_.ranks_[f]);
      }
      ++kept;
    }
    problem_.features_.resize(kept);
    problem_.orders_.resize(kept);
    problem_.ranks_.resize(kept);
  }

  void Describe() {
    problem_.input_row_.reserve(representatives_.size());
    for (const uint32_t row : representatives_) problem_.input_row_.push_back(selected_[row]);
    problem_.outputs_ = input_.outputs;
    problem_.split_penalty_ = spec_.split_penalty();
    problem_.min_samples_leaf_ = spec_.min_samples_leaf();
    const std::vector<double>& weights = problem_.weights_;
    problem_.unit_weights_ =
        std::all_of(weights.begin(), weights.end(), [](double weight) { return weight == 1; });
    const std::vector<double>& costs = problem_.costs_;
    const double dearest =
        costs.empty() ? 1.0 : std::max(1.0, *std::max_element(costs.begin(), costs.end()));
    const double greatest_loss = std::accumulate(weights.begin(), weights.end(), 0.0) * dearest;
    problem_.whole_losses_ = input_.classification() &&
                             std::all_of(weights.begin(), weights.end(), IsWhole) &&
                             std::all_of(costs.begin(), costs.end(), IsWhole) &&
                             IsWhole(spec_.split_penalty()) && greatest_loss < 0x1p52;
    if (!problem_.whole_losses_) {
      problem_.tolerance_ = kRelativeTolerance * problem_.Loss(SearchTree::Leaf());
    }
  }

  const OptimalTreeInput& input_;
  const v1::QuantBnbSpec& spec_;
  ThreadPool& pool_;
  StopToken stop_;
  std::vector<uint64_t> hashes_;     // by selected row
  std::vector<uint32_t> selected_;   // entries of input_.rows that take part
  std::vector<int64_t> table_rows_;  // their table rows
  std::vector<std::vector<uint32_t>> column_ranks_;
  std::vector<uint32_t> merged_;           // the distinct row of each selected one
  std::vector<uint32_t> representatives_;  // the first selected row of each distinct one
  SearchProblem problem_;
};

absl::StatusOr<SearchProblem> SearchProblem::Build(const OptimalTreeInput& input,
                                                   const v1::QuantBnbSpec& spec, ThreadPool& pool,
                                                   const std::function<absl::Status()>& check) {
  return SearchProblemBuilder(input, spec, pool, check).Build();
}

}  // namespace trainyard::quant_bnb
