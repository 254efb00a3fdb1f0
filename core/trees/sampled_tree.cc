#include "core/trees/sampled_tree.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "core/trees/best_first.h"
#include "core/trees/growing_node.h"

namespace trainyard {
namespace {

// Entries (rows times drawn features) between questions to the stop token: a few milliseconds.
constexpr int64_t kWorkBetweenQuestions = int64_t{1} << 18;

class Grower {
 public:
  Grower(const RankMatrix& ranks, NodeRows& rows, const v1::CartOptions& options,
         const SplitSampling& sampling, Rng& rng, StopToken& stop,
         const std::function<void(int64_t)>& add_progress)
      : rows_(rows),
        options_(options),
        features_per_node_(sampling.features_per_node),
        searcher_(MakeSplitSearcher(rows)),
        rules_(options),
        splitter_(ranks, rows, *searcher_, rules_, sampling, rng, stop),
        stop_(stop),
        add_progress_(add_progress) {}

  void Grow() {
    nodes_.push_back(rules_.MakeRoot(rows_));
    if (!nodes_[0].splittable) return;
    if (options_.max_leaf_nodes() > 0) {
      GrowNodesBestFirst();
    } else {
      GrowDepthFirst();
    }
  }

  const std::vector<GrowingNode>& nodes() const { return nodes_; }

 private:
  struct OpenNode {
    int32_t index;
    size_t known_constants;
  };

  // Whether growth is to end; asks its owner now and then.
  bool Stopped(int64_t rows) {
    work_ += rows * features_per_node_;
    if (work_ < kWorkBetweenQuestions) return stop_.stopped();
    work_ = 0;
    return stop_.Ask();
  }

  void SplitNode(int32_t index, Split split) {
    GrowingNode left;
    GrowingNode right;
    GrowingNode& node = nodes_[static_cast<size_t>(index)];
    const uint32_t left_rows = splitter_.FindSides(split, node.range, goes_left_);
    rows_.Partition(node.range, goes_left_.data());
    splitter_.FillThreshold(split);
    rules_.MakeChildren(split, node.range.begin + left_rows, rows_, node, left, right);
    node.left = static_cast<int32_t>(nodes_.size());
    node.right = node.left + 1;
    nodes_.push_back(std::move(left));
    nodes_.push_back(std::move(right));
  }

  void GrowDepthFirst() {
    std::vector<OpenNode> open = {{0, 0}};
    int64_t done = 0;
    while (!open.empty()) {
      const OpenNode current = open.back();
      open.pop_back();
      const GrowingNode& node = nodes_[static_cast<size_t>(current.index)];
      const int64_t rows = node.range.size();
      if (Stopped(rows)) return;
      size_t known = current.known_constants;
      Split split = splitter_.FindSplit(node, known);
      if (!split.found()) {
        done += rows;
        continue;
      }
      SplitNode(current.index, std::move(split));
      const int32_t left = nodes_[static_cast<size_t>(current.index)].left;
      for (const int32_t child : {left + 1, left}) {
        const GrowingNode& made = nodes_[static_cast<size_t>(child)];
        if (made.splittable) {
          open.push_back({child, known});
        } else {
          done += made.range.size();
        }
      }
      if (done >= kProgressRows) add_progress_(std::exchange(done, 0));
    }
    add_progress_(done);
  }

  // A node's constant features are looked for again, as others were searched since its parent.
  void GrowNodesBestFirst() {
    struct Nothing {};
    GrowBestFirst(
        options_.max_leaf_nodes(), Nothing{},
        [&](const GrowingNode& node, Nothing&) {
          size_t known = 0;
          return splitter_.FindSplit(node, known);
        },
        [&](int32_t index, const Split& split, const Nothing&) {
          SplitNode(index, split);
          add_progress_(1);
        },
        [&] { return Stopped(rows_.count()); }, nodes_);
  }

  static constexpr int64_t kProgressRows = 1024;

  NodeRows& rows_;
  const v1::CartOptions& options_;
  const int64_t features_per_node_;
  const std::unique_ptr<SplitSearcher> searcher_;
  GrowthRules rules_;
  SampledSplitter splitter_;
  StopToken& stop_;
  const std::function<void(int64_t)>& add_progress_;
  std::vector<GrowingNode> nodes_;
  std::vector<uint8_t> goes_left_;
  int64_t work_ = 0;
};

}  // namespace

int FeaturesPerNode(const v1::CartOptions& options, int feature_count) {
  using Cart = v1::CartOptions;
  const double all = feature_count;
  double number = all;
  switch (options.max_features()) {
    case Cart::MAX_FEATURES_SQRT:
      number = std::sqrt(all);
      break;
    case Cart::MAX_FEATURES_LOG2:
      number = std::log2(all);
      break;
    case Cart::MAX_FEATURES_THIRD:
      number = all / 3;
      break;
    case Cart::MAX_FEATURES_COUNT:
      number = options.max_features_number();
      break;
    case Cart::MAX_FEATURES_SHARE:
      number = options.max_features_number() * all;
      break;
    default:
      break;
  }
  return static_cast<int>(std::clamp(std::floor(number), 1.0, std::max(all, 1.0)));
}

Tree GrowSampledTree(const RankMatrix& ranks, const TreeTarget& target,
                     std::span<const double> weights, std::span<const uint32_t> rows,
                     const v1::CartOptions& options, const SplitSampling& sampling, Rng& rng,
                     StopToken& stop, const std::function<void(int64_t)>& add_progress) {
  NodeRows node_rows(target, weights, rows, options.criterion());
  Grower grower(ranks, node_rows, options, sampling, rng, stop, add_progress);
  grower.Grow();
  if (stop.stopped()) return {};
  return AssembleTree(grower.nodes(), node_rows, options.max_leaf_nodes() > 0);
}

}  // namespace trainyard
