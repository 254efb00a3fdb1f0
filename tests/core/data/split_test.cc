#include "core/data/split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "core/base/random.h"

namespace trainyard {
namespace {

using ::testing::SizeIs;

std::shared_ptr<const Table> MakeRows(int64_t count) {
  TableColumn time;
  time.name = "time";
  TableColumn group;
  group.name = "group";
  for (int64_t i = 0; i < count; ++i) {
    time.numbers.push_back(static_cast<double>((i * 7919) % count));
    group.numbers.push_back(static_cast<double>(i % 23));
  }
  return *MakeTable({time, group});
}

std::vector<int64_t> Range(int64_t count) {
  std::vector<int64_t> rows(static_cast<size_t>(count));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

v1::SplitOptions Options(v1::SplitOptions::Method method, double validation, double test,
                         int64_t seed = 1) {
  v1::SplitOptions options;
  options.set_method(method);
  options.set_validation_fraction(validation);
  options.set_test_fraction(test);
  options.set_seed(seed);
  options.set_group_column("group");
  options.set_time_column("time");
  return options;
}

void ExpectPartition(const RowSplit& split, int64_t count) {
  std::set<int64_t> all;
  for (const auto* set : {&split.train, &split.validation, &split.test}) {
    EXPECT_TRUE(std::is_sorted(set->begin(), set->end()));
    all.insert(set->begin(), set->end());
  }
  EXPECT_EQ(static_cast<int64_t>(split.train.size() + split.validation.size() + split.test.size()),
            count);
  EXPECT_THAT(all, SizeIs(count));
}

TEST(SplitTest, RandomSplitHasTheSizesAndDependsOnTheSeedAlone) {
  const auto table = MakeRows(1000);
  const auto options = Options(v1::SplitOptions::METHOD_RANDOM, 0.1, 0.25);
  const auto split = SplitRows(*table, Range(1000), options, {});
  ASSERT_TRUE(split.ok());
  ExpectPartition(*split, 1000);
  EXPECT_THAT(split->test, SizeIs(250));
  EXPECT_THAT(split->validation, SizeIs(100));
  EXPECT_EQ(SplitRows(*table, Range(1000), options, {})->test, split->test);
  EXPECT_NE(
      SplitRows(*table, Range(1000), Options(v1::SplitOptions::METHOD_RANDOM, 0.1, 0.25, 2), {})
          ->test,
      split->test);
}

TEST(SplitTest, StratifiedSplitKeepsSharesToOneRow) {
  const auto table = MakeRows(1003);
  std::vector<int32_t> strata;
  for (int i = 0; i < 1003; ++i) strata.push_back(i % 10 == 0 ? 1 : 0);
  const auto split = SplitRows(*table, Range(1003),
                               Options(v1::SplitOptions::METHOD_STRATIFIED, 0.2, 0.3), strata);
  ASSERT_TRUE(split.ok());
  ExpectPartition(*split, 1003);
  const auto count = [&](const std::vector<int64_t>& rows) {
    return std::count_if(rows.begin(), rows.end(), [&](int64_t row) { return strata[row] == 1; });
  };
  EXPECT_NEAR(count(split->test), 101 * 0.3, 1);
  EXPECT_NEAR(count(split->validation), 101 * 0.2, 1);
}

// Any strata and fractions: every stratum's share is rounded down or up, the sum is exact.
TEST(SplitTest, StratifiedSharesAreExactForAnyStrata) {
  Rng rng(11);
  for (int round = 0; round < 300; ++round) {
    const auto count = static_cast<int64_t>(20 + rng.UniformInt(300));
    const auto table = MakeRows(count);
    const uint64_t kinds = 1 + rng.UniformInt(60);
    std::vector<int32_t> strata;
    std::map<int32_t, int64_t> sizes;
    for (int64_t row = 0; row < count; ++row) {
      strata.push_back(static_cast<int32_t>(rng.UniformInt(kinds)) - 1);
      ++sizes[strata.back()];
    }
    const double validation = 0.05 + 0.4 * rng.NextDouble();
    const double test = 0.05 + 0.4 * rng.NextDouble();
    const auto split =
        SplitRows(*table, Range(count),
                  Options(v1::SplitOptions::METHOD_STRATIFIED, validation, test, round), strata);
    ASSERT_TRUE(split.ok()) << split.status();
    ExpectPartition(*split, count);
    EXPECT_EQ(static_cast<int64_t>(split->test.size()),
              std::llround(test * static_cast<double>(count)));
    EXPECT_EQ(static_cast<int64_t>(split->validation.size()),
              std::llround(validation * static_cast<double>(count)));
    std::map<int32_t, int64_t> tested;
    for (const int64_t row : split->test) ++tested[strata[static_cast<size_t>(row)]];
    for (const auto& [stratum, size] : sizes) {
      EXPECT_LT(std::abs(static_cast<double>(tested[stratum]) - test * static_cast<double>(size)),
                1);
    }
  }
}

TEST(SplitTest, GroupedSplitKeepsGroupsTogether) {
  const auto table = MakeRows(1000);
  const auto split =
      SplitRows(*table, Range(1000), Options(v1::SplitOptions::METHOD_GROUPED, 0.2, 0.2), {});
  ASSERT_TRUE(split.ok());
  ExpectPartition(*split, 1000);
  std::map<int64_t, std::set<int>> sets_of_group;
  int index = 0;
  for (const auto* set : {&split->train, &split->validation, &split->test}) {
    for (const int64_t row : *set) sets_of_group[row % 23].insert(index);
    ++index;
  }
  for (const auto& [group, sets] : sets_of_group) EXPECT_THAT(sets, SizeIs(1)) << group;
  EXPECT_NEAR(static_cast<double>(split->test.size()), 200, 25);
}

TEST(SplitTest, TimeSplitTrainsOnTheOldest) {
  const auto table = MakeRows(100);
  const auto split =
      SplitRows(*table, Range(100), Options(v1::SplitOptions::METHOD_TIME, 0.1, 0.2), {});
  ASSERT_TRUE(split.ok());
  ExpectPartition(*split, 100);
  const auto times = table->numbers(0);
  double newest_train = 0, oldest_test = 1e9;
  for (const int64_t row : split->train) newest_train = std::max(newest_train, times[row]);
  for (const int64_t row : split->test) oldest_test = std::min(oldest_test, times[row]);
  EXPECT_EQ(newest_train, 69);
  EXPECT_EQ(oldest_test, 80);
}

TEST(SplitTest, OnlyTheGivenRowsAreDivided) {
  const auto table = MakeRows(100);
  std::vector<int64_t> rows = {5, 7, 9, 11, 50, 51, 52, 53, 98, 99};
  const auto split = SplitRows(*table, rows, Options(v1::SplitOptions::METHOD_RANDOM, 0, 0.3), {});
  ASSERT_TRUE(split.ok());
  std::vector<int64_t> all = split->train;
  all.insert(all.end(), split->test.begin(), split->test.end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, rows);
}

TEST(SplitTest, RefusesSetsThatWouldBeEmptyAndUnknownColumns) {
  const auto table = MakeRows(10);
  EXPECT_FALSE(
      SplitRows(*table, Range(10), Options(v1::SplitOptions::METHOD_RANDOM, 0, 0.01), {}).ok());
  EXPECT_FALSE(
      SplitRows(*table, Range(10), Options(v1::SplitOptions::METHOD_RANDOM, 0.5, 0.5), {}).ok());
  auto options = Options(v1::SplitOptions::METHOD_GROUPED, 0, 0.2);
  options.set_group_column("nothing");
  EXPECT_FALSE(SplitRows(*table, Range(10), options, {}).ok());
  options = Options(v1::SplitOptions::METHOD_TIME, 0, 0.2);
  options.set_time_column("nothing");
  EXPECT_FALSE(SplitRows(*table, Range(10), options, {}).ok());
}

TEST(FoldsTest, BalancedWithinEachStratum) {
  std::vector<int32_t> strata;
  for (int i = 0; i < 100; ++i) strata.push_back(i < 30 ? 1 : 0);
  const auto folds = *AssignFolds(100, strata, {}, 7, 3);
  std::map<std::pair<int, int>, int> counts;
  for (int i = 0; i < 100; ++i) ++counts[{strata[i], folds[i]}];
  for (int fold = 0; fold < 7; ++fold) {
    EXPECT_NEAR((counts[{1, fold}]), 30.0 / 7, 1);
    EXPECT_NEAR((counts[{0, fold}]), 70.0 / 7, 1);
  }
}

TEST(FoldsTest, LargeGroupsDoNotUnbalanceTheFolds) {
  std::vector<int64_t> groups(400, 0);  // one group of half the rows, then groups of two
  for (int i = 200; i < 400; ++i) groups[static_cast<size_t>(i)] = i / 2;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto folds = *AssignFolds(400, {}, groups, 3, seed);
    std::map<int32_t, int> sizes;
    for (const int32_t fold : folds) ++sizes[fold];
    std::vector<int> sorted;
    for (const auto& [fold, size] : sizes) sorted.push_back(size);
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(sorted, (std::vector<int>{100, 100, 200}));
  }
}

// Reference: the standard library's sort and Rng::Shuffle.
TEST(InterruptibleTest, SortsAndShufflesAsUninterrupted) {
  for (const size_t count : {size_t{0}, size_t{1}, size_t{1000}, 3 * kRowsPerQuestion + 5}) {
    std::vector<std::pair<uint32_t, size_t>> rows;
    Rng random(count);
    for (size_t i = 0; i < count; ++i) rows.emplace_back(random.UniformInt(1000), i);
    auto other = rows;
    Rng one(7);
    Rng two(7);
    one.Shuffle(std::span(rows));
    ASSERT_TRUE(ShuffleRows(std::span(other), two, {}).ok());
    ASSERT_TRUE(other == rows);
    const auto less = [](const auto& a, const auto& b) { return a.first < b.first; };
    std::stable_sort(rows.begin(), rows.end(), less);
    ASSERT_TRUE(SortRows(std::span(other), less, {}).ok());
    ASSERT_TRUE(other == rows);
  }
}

// A million rows are enough to be asked before the work and within it.
TEST(InterruptibleTest, EveryDivisionStops) {
  const size_t count = kRowsPerQuestion + 2;
  std::vector<int64_t> groups;
  for (size_t i = 0; i < count; ++i) groups.push_back(static_cast<int64_t>(i / 2));
  for (const std::vector<int64_t>& own : {std::vector<int64_t>(), groups}) {
    int questions = 0;
    ASSERT_TRUE(AssignFolds(count, {}, own, 3, 1, [&] {
                  ++questions;
                  return absl::OkStatus();
                }).ok());
    EXPECT_GE(questions, 5);
    for (int last = 0; last < questions; ++last) {
      int asked = 0;
      const auto folds = AssignFolds(count, {}, own, 3, 1, [&] {
        return asked++ == last ? absl::CancelledError("enough") : absl::OkStatus();
      });
      EXPECT_EQ(folds.status(), absl::CancelledError("enough"));
      EXPECT_EQ(asked, last + 1);
    }
  }
  const auto table = MakeRows(1000);
  for (const auto method : {v1::SplitOptions::METHOD_RANDOM, v1::SplitOptions::METHOD_STRATIFIED,
                            v1::SplitOptions::METHOD_GROUPED, v1::SplitOptions::METHOD_TIME}) {
    EXPECT_EQ(SplitRows(*table, Range(1000), Options(method, 0.1, 0.2), {},
                        [] { return absl::CancelledError("enough"); })
                  .status(),
              absl::CancelledError("enough"));
  }
}

TEST(FoldsTest, ShuffledBySeed) {
  EXPECT_EQ(*AssignFolds(50, {}, {}, 3, 1), *AssignFolds(50, {}, {}, 3, 1));
  EXPECT_NE(*AssignFolds(50, {}, {}, 3, 1), *AssignFolds(50, {}, {}, 3, 2));
}

TEST(FoldsTest, GroupsStayTogether) {
  std::vector<int64_t> groups;
  for (int i = 0; i < 200; ++i) groups.push_back(i / 9);
  const auto folds = *AssignFolds(200, {}, groups, 4, 1);
  for (int i = 1; i < 200; ++i) {
    EXPECT_TRUE(groups[i] != groups[i - 1] || folds[i] == folds[i - 1]) << i;
  }
  EXPECT_THAT(std::set<int32_t>(folds.begin(), folds.end()), SizeIs(4));
}

}  // namespace
}  // namespace trainyard
