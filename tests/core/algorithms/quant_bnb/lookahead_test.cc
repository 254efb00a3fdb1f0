#include "core/algorithms/quant_bnb/lookahead.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/algorithms/quant_bnb/loss.h"
#include "gtest/gtest.h"
#include "tests/core/algorithms/quant_bnb/search_test_data.h"

namespace trainyard {
namespace {

using Report = v1::QuantBnbReport;

constexpr size_t kRows = 60;

v1::QuantBnbSpec LookaheadSpec(int depth, int max_depth, int polish_levels = 0) {
  v1::QuantBnbSpec spec = DefaultSearch(depth);
  spec.mutable_lookahead()->set_max_depth(max_depth);
  spec.mutable_lookahead()->set_polish_levels(polish_levels);
  return spec;
}

RandomShape ShapeOf(uint64_t seed) {
  RandomShape shape;
  shape.rows = kRows;
  shape.numeric_features = 3;
  shape.classification = seed % 2 == 0;
  shape.outputs = shape.classification ? 3 : 1;
  shape.distinct_values = 6;
  shape.weighted = seed % 3 == 0;
  return shape;
}

LookaheadTree LookAhead(const OptimalTreeInput& input, const v1::QuantBnbSpec& spec,
                        LookaheadHooks hooks = {}, int threads = 1) {
  ThreadPool pool(threads);
  auto tree = FindLookaheadTree(input, spec, pool, std::move(hooks));
  EXPECT_TRUE(tree.ok()) << tree.status();
  return *std::move(tree);
}

// Least loss of a tree of at most `depth` levels for some rows of `search`.
double LeastLoss(const SearchSet& search, const RowPositions& rows, v1::QuantBnbSpec spec,
                 int depth) {
  OptimalTreeInput input = search.input();
  std::vector<int64_t> table_rows;
  std::vector<int32_t> classes;
  std::vector<double> values;
  std::vector<double> weights;
  for (const uint32_t row : rows) {
    table_rows.push_back(search.input().rows[row]);
    if (input.classification()) classes.push_back(search.input().classes[row]);
    if (!input.classification()) values.push_back(search.input().values[row]);
    if (!search.input().weights.empty()) weights.push_back(search.input().weights[row]);
  }
  input.rows = table_rows;
  input.classes = classes;
  input.values = values;
  input.weights = weights;
  if (depth == 0) return LeafLoss(search.input(), rows);
  spec.clear_lookahead();
  spec.set_depth(depth);
  ThreadPool pool(1);
  const auto tree = FindOptimalTree(input, spec, nullptr, pool, {});
  EXPECT_TRUE(tree.ok()) << tree.status();
  return TreeLoss(input, spec, tree->tree);
}

// Checks that the split of every inner node is that of an optimal tree of as many levels as the
// search for it had, and every leaf above the last level a node where such a tree gains nothing.
void CheckSplits(const SearchSet& search, const v1::QuantBnbSpec& spec, const Tree& tree, int node,
                 const RowPositions& rows, int levels) {
  const int whole = std::max(spec.depth(), spec.lookahead().polish_levels());
  const int depth = levels <= whole ? levels : spec.depth();
  if (levels == 0) {
    EXPECT_TRUE(tree.is_leaf(node));
    return;
  }
  const double least = LeastLoss(search, rows, spec, depth);
  const double tolerance = 1e-9 * (1 + LeafLoss(search.input(), rows));
  if (tree.is_leaf(node)) {
    EXPECT_NEAR(LeafLoss(search.input(), rows), least, tolerance);
    return;
  }
  const auto [left, right] = DivideRows(search.input(), tree, node, rows);
  EXPECT_NEAR(spec.split_penalty() + LeastLoss(search, left, spec, depth - 1) +
                  LeastLoss(search, right, spec, depth - 1),
              least, tolerance);
  const size_t t = static_cast<size_t>(node);
  CheckSplits(search, spec, tree, tree.left[t], left, levels - 1);
  CheckSplits(search, spec, tree, tree.right[t], right, levels - 1);
}

TEST(LookaheadTest, EverySplitIsTheRootOfAnOptimalTreeOfItsRows) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    const SearchSet search(MakeRandomSet(ShapeOf(seed), seed));
    v1::QuantBnbSpec spec = LookaheadSpec(1 + static_cast<int>(seed % 2), 4, seed % 4 == 0 ? 2 : 0);
    spec.set_split_penalty(seed % 3 == 1 ? 0.5 : 0);
    const LookaheadTree found = LookAhead(search.input(), spec);
    EXPECT_EQ(found.status, Report::STATUS_LOOKAHEAD);
    EXPECT_LE(found.tree.depth(), 4);
    CheckSplits(search, spec, found.tree, 0, UsedRows(search.input()), 4);
    EXPECT_NEAR(found.progress.loss, TreeLoss(search.input(), spec, found.tree), 1e-9) << seed;
    EXPECT_NEAR(found.progress.settled, 1, 1e-12);
  }
}

TEST(LookaheadTest, LiesBetweenTheHorizonsTreeAndTheOptimum) {
  int strictly_better = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const SearchSet search(MakeRandomSet(ShapeOf(seed), 100 + seed));
    const RowPositions rows = UsedRows(search.input());
    const v1::QuantBnbSpec spec = LookaheadSpec(1, 3);
    const double loss = LookAhead(search.input(), spec).progress.loss;
    const double shallow = LeastLoss(search, rows, spec, 1);
    EXPECT_LE(loss, shallow + 1e-9);
    EXPECT_GE(loss, LeastLoss(search, rows, spec, 3) - 1e-9);
    strictly_better += loss < shallow - 1e-9 ? 1 : 0;
  }
  EXPECT_EQ(strictly_better, 8);
}

TEST(LookaheadTest, PolishingAllLevelsGivesTheOptimum) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const SearchSet search(MakeRandomSet(ShapeOf(seed), 200 + seed));
    const v1::QuantBnbSpec spec = LookaheadSpec(1, 3, 3);
    EXPECT_NEAR(LookAhead(search.input(), spec).progress.loss,
                LeastLoss(search, UsedRows(search.input()), spec, 3), 1e-9);
  }
}

// Greedy splits find nothing in an exclusive or; two levels ahead they do.
TEST(LookaheadTest, SeesWhatGreedySplitsDoNot) {
  TrainingSet set;
  set.rows = 64;
  set.outputs = 2;
  std::vector<double> a, b, c;
  for (int i = 0; i < 64; ++i) {
    a.push_back(i & 1);
    b.push_back(i >> 1 & 1);
    c.push_back(i >> 2 & 1);
    set.classes.push_back((i ^ i >> 1 ^ i >> 2) & 1);
  }
  for (auto* column : {&a, &b, &c}) set.AddNumbers(*column);
  const SearchSet search(std::move(set));
  // Parity of three: two levels gain nothing, three do.
  EXPECT_EQ(LookAhead(search.input(), LookaheadSpec(2, 4)).tree.leaf_count(), 1);
  const LookaheadTree seen = LookAhead(search.input(), LookaheadSpec(3, 4));
  EXPECT_EQ(seen.progress.loss, 0);
  EXPECT_EQ(seen.tree.leaf_count(), 8);
}

TEST(LookaheadTest, ReportsRiseAndFall) {
  const SearchSet search(MakeRandomSet(ShapeOf(1), 1));
  double loss = HUGE_VAL;
  double settled = 0;
  int reports = 0;
  LookaheadHooks hooks;
  hooks.report = [&](const LookaheadProgress& progress) {
    EXPECT_LE(progress.loss, loss);
    EXPECT_GE(progress.settled, settled);
    loss = progress.loss;
    settled = progress.settled;
    ++reports;
  };
  const LookaheadTree found = LookAhead(search.input(), LookaheadSpec(1, 4), std::move(hooks));
  EXPECT_GT(reports, 4);
  EXPECT_EQ(loss, found.progress.loss);
}

TEST(LookaheadTest, GoesOnFromEveryCheckpointToTheSameTree) {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    const SearchSet search(MakeRandomSet(ShapeOf(seed), 300 + seed));
    const v1::QuantBnbSpec spec = LookaheadSpec(1, 4);
    std::vector<SearchCheckpoint> checkpoints;
    LookaheadHooks hooks;
    hooks.checkpoint = [&](const SearchCheckpoint& checkpoint) {
      if (!checkpoint.search.has_value()) checkpoints.push_back(checkpoint);
      return absl::OkStatus();
    };
    const LookaheadTree whole = LookAhead(search.input(), spec, std::move(hooks));
    ASSERT_GT(checkpoints.size(), 3u);
    EXPECT_EQ(checkpoints.back().steps.size(), checkpoints.size());
    for (const SearchCheckpoint& checkpoint : checkpoints) {
      size_t searches = 0;
      LookaheadHooks again;
      again.resume = checkpoint;
      again.checkpoint = [&](const SearchCheckpoint& next) {
        if (!next.search.has_value()) ++searches;
        return absl::OkStatus();
      };
      const LookaheadTree resumed = LookAhead(search.input(), spec, std::move(again));
      EXPECT_TRUE(resumed.tree == whole.tree);
      EXPECT_EQ(resumed.progress.loss, whole.progress.loss);
      EXPECT_EQ(resumed.progress.counters.evaluated(), whole.progress.counters.evaluated());
      EXPECT_EQ(resumed.distinct_rows, whole.distinct_rows);
      EXPECT_EQ(searches, checkpoints.size() - checkpoint.steps.size());
      EXPECT_GE(resumed.progress.seconds, checkpoint.seconds);
    }
  }
}

TEST(LookaheadTest, ALimitLeavesTheTreeAsItIs) {
  const SearchSet search(MakeRandomSet(ShapeOf(1), 5));
  v1::QuantBnbSpec spec = LookaheadSpec(2, 6);
  const LookaheadTree whole = LookAhead(search.input(), spec);
  const int64_t all = whole.progress.counters.evaluated();
  ASSERT_GT(all, 4);
  double before = HUGE_VAL;
  for (const int64_t limit : {int64_t{1}, all / 2, all}) {
    spec.mutable_limits()->set_evaluations(limit);
    const LookaheadTree cut = LookAhead(search.input(), spec);
    EXPECT_NEAR(cut.progress.loss, TreeLoss(search.input(), spec, cut.tree), 1e-9);
    EXPECT_LE(cut.progress.loss, before);
    EXPECT_GE(cut.progress.loss, whole.progress.loss - 1e-9);
    if (limit < all) {
      EXPECT_EQ(cut.status, Report::STATUS_EVALUATION_LIMIT);
    }
    before = cut.progress.loss;
  }
  spec.mutable_limits()->set_evaluations(0);
  spec.mutable_limits()->set_time_seconds(1e-9);
  const LookaheadTree late = LookAhead(search.input(), spec);
  EXPECT_EQ(late.status, Report::STATUS_TIME_LIMIT);
  EXPECT_NEAR(late.progress.loss, TreeLoss(search.input(), spec, late.tree), 1e-9);
}

TEST(LookaheadTest, PassesRefusalsOn) {
  const SearchSet search(MakeRandomSet(ShapeOf(1), 6));
  ThreadPool pool(1);
  LookaheadHooks hooks;
  hooks.check = [] { return absl::CancelledError("enough"); };
  EXPECT_EQ(FindLookaheadTree(search.input(), LookaheadSpec(2, 4), pool, std::move(hooks))
                .status()
                .code(),
            absl::StatusCode::kCancelled);
  hooks = {};
  hooks.checkpoint = [](const SearchCheckpoint&) { return absl::UnavailableError("full"); };
  EXPECT_EQ(FindLookaheadTree(search.input(), LookaheadSpec(2, 4), pool, std::move(hooks))
                .status()
                .code(),
            absl::StatusCode::kUnavailable);
}

TEST(LookaheadTest, KeepsTheLeastSizeOfLeaves) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const SearchSet search(MakeRandomSet(ShapeOf(seed), 400 + seed));
    v1::QuantBnbSpec spec = LookaheadSpec(2, 5);
    spec.set_min_samples_leaf(7);
    const LookaheadTree found = LookAhead(search.input(), spec);
    EXPECT_GT(found.tree.node_count(), 1);
    for (const int64_t count : found.tree.row_count) EXPECT_GE(count, 7);
  }
}

}  // namespace
}  // namespace trainyard
