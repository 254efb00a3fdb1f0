// The lower bounds of Quant-BnB for the states of a node, and the trees that come with them.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/algorithms/quant_bnb/pair_solver.h"
#include "core/algorithms/quant_bnb/quantile_states.h"
#include "core/algorithms/quant_bnb/search_course.h"
#include "core/algorithms/quant_bnb/search_node.h"
#include "core/algorithms/quant_bnb/stump_scanner.h"
#include "trainyard/v1/quant_bnb.pb.h"

namespace trainyard::quant_bnb {

// What the search is told.
struct QuantileOptions {
  explicit QuantileOptions(const v1::QuantBnbSpec& spec);

  v1::QuantBnbSpec::Bound bound;
  int quantiles;  // s
  // Rules in use. Dominance is used only where every leaf may have a single row: elsewhere a
  // subtree that is allowed at one threshold of the root need not be so at another.
  bool interval = true;
  bool screening = true;
  bool dominance = true;
};

// What is known of one state at a node.
struct PairBounds {
  // By part of the state's plan: no tree has a smaller loss; likewise no tree with each feature of
  // the left set, ascending, and of the right set.
  struct Part {
    double least = 0;
    std::vector<double> left;
    std::vector<double> right;
  };
  std::vector<Part> parts;
  // The best tree at the cuts themselves, whose leaves are large enough; an infinite loss if none.
  PairTree achieved;
};

// The gap term of W1 and W2: what the samples inside a part cost at least once they are put back.
class GapBounds {
 public:
  GapBounds(const QuantileOptions& options, SearchCourse& course)
      : options_(options), course_(course) {}

  // A lower bound, without penalties, of what the rows of `node` with ranks in (cuts[below],
  // cuts[above]] add for each pair of features, [left][right] row-major; all 0 where there is
  // nothing to gain. False: stop.
  bool Add(const SearchNode& node, const PairState& state, const CutPlan& plan, const CutPart& part,
           std::vector<double>& gaps);
  // Batches of scans since the last call.
  int64_t TakeBatches() { return std::exchange(batches_, 0); }

 private:
  // Losses at cuts of the inside, [cut][feature of the set].
  struct SideTable {
    std::vector<int> features;
    std::vector<double> losses;

    const double* At(size_t cut) const { return losses.data() + cut * features.size(); }
  };

  const SearchNode* TakeInside(const SearchNode& node, int feature, uint32_t below, uint32_t above);
  std::vector<int> InsideCuts(const SearchNode& inside, int index, int node_rows) const;
  bool Scan(const SearchNode& inside, int index, std::span<const int> places);
  void Fill(const SideLosses& losses, int feature, double paid, size_t first, size_t lanes);
  void Lower(const double* left, const double* right, std::vector<double>& gaps) const;

  const QuantileOptions& options_;
  SearchCourse& course_;
  SearchNode below_;
  SearchNode inside_;
  SearchNode rest_;
  StumpScanner scanner_;
  AlignedBytes scratch_;
  SideTable sides_[2];
  int64_t batches_ = 0;
};

// Evaluates states at nodes; W0 of the paper's section on bounds, with the gap terms where asked.
// One per thread; keeps memory from call to call.
class PairEvaluator {
 public:
  PairEvaluator(const SearchProblem& problem, const QuantileOptions& options, SearchCourse& course)
      : problem_(problem), course_(course), options_(options), gaps_(options, course) {}

  // `states`, by feature and rank, and their plans; the ranks of a plan need not all occur in the
  // node. False when the course says stop: the answer is void.
  bool Evaluate(const SearchNode& node, std::span<const PairState> states,
                std::span<const CutPlan> plans, std::vector<PairBounds>& bounds);

  // Work done since the last call.
  WorkCounters TakeCounters();

 private:
  // A cut of one of a block's states.
  struct Request {
    size_t state = 0;  // within the block
    size_t cut = 0;
    int rows_below = 0;  // rows of the node on the left
    int lane = 0;        // of the block's places
  };
  // Losses of one state at its cuts, [side][cut][feature].
  struct Values {
    std::vector<double> relaxed[2];
    std::vector<double> constrained[2];
  };

  size_t BlockEnd(std::span<const PairState> states, std::span<const CutPlan> plans,
                  size_t begin) const;
  bool EvaluateBlock(const SearchNode& node, std::span<const PairState> states,
                     std::span<const CutPlan> plans, std::span<PairBounds> bounds);
  void PlaceRequests(const SearchNode& node, int index, std::span<const PairState> states,
                     std::span<const CutPlan> plans);
  bool ScanPlaces(const SearchNode& node, int index, std::span<const PairState> states);
  void Scatter(std::span<const PairState> states, int feature, int first_lane, int lanes,
               const SideLosses& losses, int row_count);
  bool Summarise(const SearchNode& node, const PairState& state, const CutPlan& plan,
                 const Values& values, PairBounds& bounds);
  void FindAchieved(const PairState& state, const CutPlan& plan, const Values& values,
                    PairBounds& bounds) const;
  size_t At(size_t cut, int feature) const {
    return cut * static_cast<size_t>(problem_.feature_count()) + static_cast<size_t>(feature);
  }

  const SearchProblem& problem_;
  SearchCourse& course_;
  const QuantileOptions& options_;
  GapBounds gaps_;
  StumpScanner scanner_;
  AlignedBytes scratch_;
  std::vector<Request> requests_;
  std::vector<int> places_;
  std::vector<Values> values_;
  std::vector<double> gap_;
  WorkCounters counters_;
};

// The number of a search feature in the node's features(), -1 where it has one value there.
int IndexOf(const SearchNode& node, int feature);
// Rows of the node, in the order of feature number `index`, whose rank is <= `rank`.
int RowsUpTo(const SearchNode& node, int index, uint32_t rank);

}  // namespace trainyard::quant_bnb
