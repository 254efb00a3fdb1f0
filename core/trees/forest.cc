#include "core/trees/forest.h"

#include <map>
#include <mutex>
#include <utility>

#include "core/trees/forest_sampling.h"
#include "core/trees/growth_progress.h"
#include "core/trees/pruning.h"
#include "core/trees/rank_matrix.h"
#include "core/trees/sampled_tree.h"
#include "core/trees/stop_token.h"

namespace trainyard {
namespace {

using Cart = v1::CartOptions;
using Options = v1::ForestOptions;

Cart ResolveForestCart(const Cart& options, const TreeTarget& target) {
  Cart cart = ResolveCart(options, target);
  if (cart.max_features() == Cart::MAX_FEATURES_UNSPECIFIED) {
    cart.set_max_features(target.classification() ? Cart::MAX_FEATURES_SQRT
                                                  : Cart::MAX_FEATURES_THIRD);
  }
  return cart;
}

class ForestGrower {
 public:
  ForestGrower(const ForestData& data, const Cart& cart, const Options& options,
               const OobRequest& request, uint64_t seed, std::vector<Tree> grown, ThreadPool& pool,
               const ForestHooks& hooks)
      : data_(data),
        cart_(cart),
        options_(options),
        hooks_(hooks),
        seed_(seed),
        grown_(grown.size()),
        pool_(pool),
        stop_(hooks.check),
        ranks_(data.features,
               options.kind() == Options::KIND_EXTRA_TREES ? RankMatrix::Numbers::kAsValues
                                                           : RankMatrix::Numbers::kAsRanks,
               pool),
        sampler_(data.target, data.weights, data.rows, options),
        with_oob_(options.oob() && sampler_.bootstrap() && !request.lambdas.empty()),
        oob_(with_oob_ ? request : OobRequest{}, data.target.outputs,
             with_oob_ ? data.rows.size() : 0),
        budget_(cart.max_leaf_nodes() > 0 ? cart.max_leaf_nodes()
                                          : static_cast<int64_t>(sampler_.rows().size())),
        progress_(hooks.progress, Total(grown.size())),
        scratch_(static_cast<size_t>(pool.threads())) {
    forest_.trees = std::move(grown);
    forest_.trees.resize(static_cast<size_t>(options.tree_count()));
  }

  bool empty() const { return sampler_.rows().empty(); }

  absl::StatusOr<Forest> Grow() {
    const size_t first = with_oob_ ? 0 : grown_;
    next_ = first;
    const int64_t tasks = static_cast<int64_t>(forest_.trees.size() - first);
    pool_.Run(tasks, [&](int64_t i, int thread) {
      if (!stop_.Ask()) MakeTree(first + static_cast<size_t>(i), thread);
    });
    if (!tree_done_status_.ok()) return tree_done_status_;
    if (stop_.Ask()) return stop_.status();
    if (with_oob_) forest_.oob = oob_.Finish();
    return std::move(forest_);
  }

 private:
  // Memory of one thread.
  struct Scratch {
    std::vector<uint32_t> counts;
    std::vector<double> weights;
    std::vector<double> path;
  };
  // What a finished tree adds to the out-of-bag values.
  struct Finished {
    std::vector<uint32_t> positions;
    std::vector<double> values;
  };

  int64_t Total(size_t grown) const {
    const int64_t trees = options_.tree_count() - static_cast<int64_t>(grown);
    return std::max(budget_ * trees, int64_t{1});
  }

  void MakeTree(size_t number, int thread) {
    Scratch& scratch = scratch_[static_cast<size_t>(thread)];
    Rng rng(seed_, number);
    sampler_.DrawCounts(rng, scratch.counts);
    if (number >= grown_) GrowTree(number, scratch, rng);
    if (stop_.Ask()) return;
    Finished finished;
    if (with_oob_) finished = PredictOutOfBag(forest_.trees[number], scratch);
    if (!stop_.stopped()) Deliver(number, std::move(finished));
  }

  void GrowTree(size_t number, Scratch& scratch, Rng& rng) {
    sampler_.WeightRows(scratch.counts, scratch.weights);
    const SplitSampling sampling = {FeaturesPerNode(cart_, data_.features.feature_count()),
                                    options_.kind() == Options::KIND_EXTRA_TREES};
    int64_t rest = budget_;
    Tree tree = GrowSampledTree(ranks_, data_.target, scratch.weights, sampler_.rows(), cart_,
                                sampling, rng, stop_, [&](int64_t done) {
                                  rest -= done;
                                  progress_.Add(done);
                                });
    if (stop_.stopped()) return;
    forest_.trees[number] = Prune(cart_, data_.target, std::move(tree));
    progress_.Add(rest);
  }

  Finished PredictOutOfBag(const Tree& tree, Scratch& scratch) {
    const std::span<const uint32_t> counts = scratch.counts;
    Finished finished;
    std::vector<uint32_t> rows;
    for (size_t i = 0; i < data_.rows.size(); ++i) {
      const uint32_t row = data_.rows[i];
      if (row < counts.size() && counts[row] > 0) continue;
      finished.positions.push_back(static_cast<uint32_t>(i));
      rows.push_back(row);
    }
    const std::vector<int32_t> leaves = LeavesOfRows(tree, ranks_, rows, stop_);
    if (!stop_.stopped()) finished.values = oob_.ValuesOf(tree, leaves, stop_, scratch.path);
    return finished;
  }

  // Trees are added up and told of in their order: one that is early waits in `early_`.
  void Deliver(size_t number, Finished finished) {
    const std::lock_guard lock(mutex_);
    early_.emplace(number, std::move(finished));
    for (auto it = early_.begin(); it != early_.end() && it->first == next_; ++next_) {
      if (with_oob_) oob_.Add(it->second.positions, it->second.values);
      it = early_.erase(it);
      if (next_ < grown_ || !hooks_.tree_done || !tree_done_status_.ok()) continue;
      tree_done_status_ = hooks_.tree_done(static_cast<int>(next_), forest_.trees[next_]);
      if (!tree_done_status_.ok()) stop_.Stop(tree_done_status_);
    }
  }

  const ForestData& data_;
  const Cart& cart_;
  const Options& options_;
  const ForestHooks& hooks_;
  const uint64_t seed_;
  const size_t grown_;
  ThreadPool& pool_;
  StopToken stop_;
  const RankMatrix ranks_;
  const ForestSampler sampler_;
  const bool with_oob_;
  OobAccumulator oob_;    // used under mutex_
  const int64_t budget_;  // progress of one tree
  GrowthProgress progress_;
  std::vector<Scratch> scratch_;  // by thread
  Forest forest_;
  std::mutex mutex_;
  size_t next_ = 0;  // to be delivered; guarded by mutex_, as are the next two
  std::map<size_t, Finished> early_;
  absl::Status tree_done_status_;
};

}  // namespace

absl::StatusOr<Forest> GrowForest(const ForestData& data, const Cart& cart, const Options& forest,
                                  const OobRequest& request, uint64_t seed, std::vector<Tree> grown,
                                  ThreadPool& pool, const ForestHooks& hooks) {
  const Cart resolved = ResolveForestCart(cart, data.target);
  const absl::Status usable = CheckTrainingRows(data.target, data.weights, data.rows, resolved);
  if (!usable.ok()) return usable;
  if (grown.size() > static_cast<size_t>(forest.tree_count())) {
    grown.resize(static_cast<size_t>(forest.tree_count()));
  }
  ForestGrower grower(data, resolved, forest, request, seed, std::move(grown), pool, hooks);
  return grower.Grow();
}

}  // namespace trainyard
