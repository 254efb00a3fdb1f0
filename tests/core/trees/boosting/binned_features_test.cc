#include "core/trees/boosting/binned_features.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/core/trees/boosting/boosting_test_data.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<int> CodesOf(const BinnedFeatures& features, int feature) {
  std::vector<int> codes;
  for (int64_t row = 0; row < features.row_count(); ++row) {
    codes.push_back(features.Code(feature, row));
  }
  return codes;
}

// Reference: a linear count of the thresholds below each value.
TEST(BinnedFeaturesTest, CodesCountTheThresholdsBelow) {
  for (const int max_bins : {2, 7, 255}) {
    const TrainingSet set =
        MakeRandomSet({.rows = 5000, .numeric_features = 11, .missing_share = 0.1}, 11);
    ThreadPool pool(2);
    const BinnedFeatures features = Bin(set, pool, max_bins);
    EXPECT_EQ(features.block_count(), 2);
    for (int f = 0; f < 11; ++f) {
      EXPECT_EQ(features.bin_count(f), max_bins);
      for (size_t row = 0; row < set.rows; ++row) {
        const double value = set.numbers[static_cast<size_t>(f)][row];
        int code = 0;
        for (const double threshold : features.thresholds(f)) code += value > threshold ? 1 : 0;
        if (std::isnan(value)) code = features.missing_code(f);
        ASSERT_EQ(features.Code(f, static_cast<int64_t>(row)), code);
      }
    }
  }
}

TEST(BinnedFeaturesTest, InfiniteValuesAreOrdinary) {
  const double infinity = std::numeric_limits<double>::infinity();
  TrainingSet set;
  set.rows = 4;
  set.AddNumbers({infinity, 1, -infinity, kMissing});
  ThreadPool pool(1);
  EXPECT_THAT(CodesOf(Bin(set, pool), 0), ElementsAre(2, 1, 0, 3));
}

TEST(BinnedFeaturesTest, RareLevelsShareABin) {
  TrainingSet set;
  set.rows = 9;
  set.AddCodes({4, 4, 2, 2, 2, 0, -1, 7, 99}, 8);
  ThreadPool pool(1);
  const BinnedFeatures features = Bin(set, pool, 3);
  EXPECT_THAT(features.levels(0), ElementsAre(2, 4));
  EXPECT_THAT(CodesOf(features, 0), ElementsAre(1, 1, 0, 0, 0, 2, 3, 2, 3));
}

TEST(BinnedFeaturesTest, OnlyDecidingRowsDecide) {
  TrainingSet set;
  set.rows = 5;
  set.AddNumbers({1, 5, 2, 3, 9});
  set.AddCodes({0, 1, 2, 0, 3}, 4);
  const std::vector<int64_t> rows = {0, 1, 2, 3, 4};
  const std::vector<uint32_t> deciding = {0, 3};
  ThreadPool pool(1);
  const auto features = BinnedFeatures::Build(set.columns(), rows, {255, deciding, {}}, pool, {});
  ASSERT_TRUE(features.ok());
  EXPECT_THAT(features->thresholds(0), ElementsAre(2));
  EXPECT_THAT(features->levels(1), ElementsAre(0));
  EXPECT_THAT(CodesOf(*features, 0), ElementsAre(0, 1, 0, 1, 1));
  EXPECT_THAT(CodesOf(*features, 1), ElementsAre(0, 1, 1, 0, 1));
}

TEST(BinnedFeaturesTest, RefusesAndStops) {
  TrainingSet set;
  set.rows = 1;
  set.AddNumbers({1});
  const std::vector<int64_t> rows = {0};
  ThreadPool pool(1);
  for (const int max_bins : {1, 256}) {
    EXPECT_THAT(std::string(BinnedFeatures::Build(set.columns(), rows, {max_bins, {}, {}}, pool, {})
                                .status()
                                .message()),
                HasSubstr("max_bins"));
  }
  EXPECT_TRUE(absl::IsCancelled(BinnedFeatures::Build(set.columns(), rows, {}, pool, [] {
                                  return absl::CancelledError("stop");
                                }).status()));
}

}  // namespace
}  // namespace trainyard
