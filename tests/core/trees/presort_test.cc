#include "core/trees/presort.h"

#include <bit>
#include <cmath>

#include "tests/core/trees/tree_test_data.h"

namespace trainyard {
namespace {

PresortedFeatures Sort(const TrainingSet& set, const std::vector<int64_t>& rows) {
  ThreadPool pool(2);
  auto features = PresortedFeatures::Build(set.columns(), rows, pool, {});
  EXPECT_TRUE(features.ok());
  return *std::move(features);
}

// Reference: std::stable_sort on the values.
TEST(PresortTest, OrdersLikeTheNumbers) {
  for (const size_t count : {size_t{10}, size_t{1023}, size_t{5000}}) {
    std::mt19937_64 random(count);
    std::vector<double> numbers(count);
    for (double& number : numbers) {
      number = std::bit_cast<double>(random());  // any sign and exponent, now and then NaN
      if (random() % 5 == 0) number = static_cast<double>(static_cast<int64_t>(random() % 7) - 3);
      if (random() % 11 == 0) number = kMissing;
      if (random() % 50 == 0) number = random() % 2 != 0 ? HUGE_VAL : -HUGE_VAL;
      if (random() % 50 == 0) number = random() % 2 != 0 ? 0.0 : -0.0;
    }
    TrainingSet set;
    set.rows = count;
    set.AddNumbers(numbers);
    std::vector<int64_t> rows;
    for (size_t i = 0; i < count; i += 2) rows.push_back(static_cast<int64_t>(count - 1 - i));
    const PresortedFeatures features = Sort(set, rows);
    std::vector<uint32_t> expected(rows.size());
    std::iota(expected.begin(), expected.end(), uint32_t{0});
    const auto value = [&](uint32_t i) { return numbers[static_cast<size_t>(rows[i])]; };
    std::stable_sort(expected.begin(), expected.end(), [&](uint32_t a, uint32_t b) {
      if (std::isnan(value(a)) || std::isnan(value(b))) {
        return !std::isnan(value(a)) && std::isnan(value(b));
      }
      return value(a) < value(b);
    });
    ASSERT_EQ(features.order(0).size(), rows.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      const OrderEntry& entry = features.order(0)[i];
      ASSERT_EQ(entry.row, expected[i]);
      if (std::isnan(value(entry.row))) {
        EXPECT_EQ(entry.rank, features.missing_rank(0));
      } else {
        EXPECT_EQ(features.values(0)[entry.rank], value(entry.row));
      }
    }
    EXPECT_TRUE(std::is_sorted(features.values(0).begin(), features.values(0).end()));
    EXPECT_EQ(std::adjacent_find(features.values(0).begin(), features.values(0).end()),
              features.values(0).end());
  }
}

TEST(PresortTest, PutsMissingLevelsLast) {
  TrainingSet set;
  set.rows = 6;
  set.AddCodes({2, -1, 0, 2, 7, 1}, 3);
  const PresortedFeatures features = Sort(set, {0, 1, 2, 3, 4, 5});
  std::vector<uint32_t> rows;
  std::vector<uint32_t> ranks;
  for (const OrderEntry& entry : features.order(0)) {
    rows.push_back(entry.row);
    ranks.push_back(entry.rank);
  }
  EXPECT_EQ(rows, (std::vector<uint32_t>{2, 5, 0, 3, 1, 4}));
  EXPECT_EQ(ranks, (std::vector<uint32_t>{0, 1, 2, 2, 3, 3}));
  EXPECT_EQ(features.missing_rank(0), 3u);
  EXPECT_TRUE(features.categorical(0));
}

TEST(PresortTest, PassesOnTheRequestToStop) {
  const TrainingSet set = MakeRandomSet({.rows = 100}, 1);
  ThreadPool pool(2);
  const std::vector<int64_t> rows = {0, 1, 2};
  const auto features = PresortedFeatures::Build(set.columns(), rows, pool,
                                                 [] { return absl::CancelledError("told"); });
  EXPECT_EQ(features.status().message(), "told");
}

}  // namespace
}  // namespace trainyard
