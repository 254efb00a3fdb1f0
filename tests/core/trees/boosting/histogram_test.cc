#include "core/trees/boosting/histogram.h"

#include <gtest/gtest.h>

#include <random>

#include "core/trees/boosting/histogram_split.h"
#include "tests/core/trees/boosting/boosting_test_data.h"

namespace trainyard {
namespace {

struct Case {
  size_t rows = 3000;
  int features = 20;
  bool hessians = false;
  int threads = 1;
  int distinct = 0;
};

class HistogramTest : public ::testing::Test {
 protected:
  void Prepare(const Case& own) {
    set_ = MakeRandomSet({.rows = own.rows,
                          .numeric_features = own.features,
                          .missing_share = 0.05,
                          .distinct_values = own.distinct},
                         23);
    pool_ = std::make_unique<ThreadPool>(own.threads);
    features_ = std::make_unique<BinnedFeatures>(Bin(set_, *pool_));
    std::mt19937_64 random(29);
    std::normal_distribution<double> normal;
    gradients_.resize(own.rows);
    hessians_.resize(own.hessians ? own.rows : 0);
    for (double& g : gradients_) g = normal(random);
    for (double& h : hessians_) h = std::abs(normal(random));
    packed_.Pack(gradients_, hessians_, Numbers(0, static_cast<uint32_t>(own.rows)), *pool_, stop_);
  }
  std::vector<int64_t> Fill(const HistogramLayout& layout, std::vector<uint32_t> rows,
                            bool contiguous = false) {
    StopToken stop({});
    std::vector<int64_t> histogram(layout.size(), -1);
    const size_t count = rows.size();
    rows.resize(count + kRowsReadAhead);
    HistogramBuilder(*features_, *pool_, stop)
        .Fill(layout, packed_, std::span(rows).first(count), contiguous, histogram);
    return histogram;
  }
  // Plain sums of the packed words.
  std::vector<int64_t> Reference(const HistogramLayout& layout, const std::vector<uint32_t>& rows) {
    const size_t words = static_cast<size_t>(packed_.format.words);
    std::vector<int64_t> histogram(layout.size());
    for (const uint32_t row : rows) {
      for (size_t i = 0; i < layout.chosen().size(); ++i) {
        const size_t code = static_cast<size_t>(features_->Code(layout.chosen()[i], row));
        for (size_t w = 0; w < words; ++w) {
          histogram[layout.offset(i) + code * words + w] += packed_.words[row * words + w];
        }
      }
    }
    return histogram;
  }
  std::vector<int32_t> AllFeatures() const {
    std::vector<int32_t> chosen(static_cast<size_t>(features_->feature_count()));
    std::iota(chosen.begin(), chosen.end(), 0);
    return chosen;
  }

  TrainingSet set_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<BinnedFeatures> features_;
  std::vector<double> gradients_;
  std::vector<double> hessians_;
  PackedGradients packed_;
  StopToken stop_{{}};
};

TEST_F(HistogramTest, EqualsPlainSums) {
  for (const bool hessians : {false, true}) {
    for (const int threads : {1, 2, 16}) {
      for (const int features : {1, 13, 20, 100}) {  // by rows, and by blocks of features
        for (const int distinct : {0, 5}) {
          Prepare({.features = features,
                   .hessians = hessians,
                   .threads = threads,
                   .distinct = distinct});
          const HistogramLayout layout(*features_, AllFeatures(), packed_.format.words);
          const std::vector<uint32_t> all = Numbers(0, 3000);
          EXPECT_EQ(Fill(layout, all), Reference(layout, all));
          EXPECT_EQ(Fill(layout, all, true), Reference(layout, all));
          std::vector<uint32_t> some;
          for (uint32_t row = 1; row < 3000; row += row % 7 + 1) some.push_back(row);
          EXPECT_EQ(Fill(layout, some), Reference(layout, some));
        }
      }
    }
  }
}

TEST_F(HistogramTest, ChosenFeaturesAlone) {
  Prepare({.hessians = true});
  const std::vector<int32_t> chosen = {1, 4, 5, 8, 9, 10, 19};
  const HistogramLayout layout(*features_, chosen, 2);
  EXPECT_EQ(Fill(layout, Numbers(0, 3000)), Reference(layout, Numbers(0, 3000)));
}

TEST_F(HistogramTest, SiblingIsTheDifferenceExactly) {
  for (const bool hessians : {false, true}) {
    Prepare({.hessians = hessians});
    const HistogramLayout layout(*features_, AllFeatures(), packed_.format.words);
    std::vector<uint32_t> left;
    std::vector<uint32_t> right;
    for (uint32_t row = 0; row < 3000; ++row) (row % 3 == 0 ? left : right).push_back(row);
    std::vector<int64_t> difference = Fill(layout, Numbers(0, 3000));
    const std::vector<int64_t> smaller = Fill(layout, left);
    for (size_t i = 0; i < difference.size(); ++i) difference[i] -= smaller[i];
    EXPECT_EQ(difference, Fill(layout, right));
  }
}

TEST_F(HistogramTest, PackingKeepsSumsAndCounts) {
  for (const bool hessians : {false, true}) {
    Prepare({.hessians = hessians});
    const size_t words = static_cast<size_t>(packed_.format.words);
    double gradient = 0;
    double magnitude = 0;
    double hessian = 0;
    int64_t sum[2] = {0, 0};
    for (size_t row = 0; row < 3000; ++row) {
      gradient += gradients_[row];
      magnitude += std::abs(gradients_[row]);
      hessian += hessians ? hessians_[row] : 1;
      for (size_t w = 0; w < words; ++w) sum[w] += packed_.words[row * words + w];
      const GradientSums one = packed_.format.Unpack(packed_.words.data() + row * words);
      EXPECT_EQ(one.rows, 1);
      EXPECT_NEAR(one.gradient, gradients_[row], packed_.format.gradient_unit);
    }
    const GradientSums sums = packed_.format.Unpack(sum);
    EXPECT_EQ(sums.rows, 3000);
    EXPECT_NEAR(sums.gradient, gradient, 1e-10 * magnitude);
    EXPECT_NEAR(sums.hessian, hessian, 1e-8 * hessian);
  }
}

TEST_F(HistogramTest, PackingHoldsExtremeNumbers) {
  ThreadPool pool(1);
  const std::vector<uint32_t> rows = {0, 1, 2};
  for (const double scale : {1e-280, 1.0, 1e145}) {
    PackedGradients packed;
    packed.Pack(std::vector<double>{scale, -3 * scale, 0}, std::vector<double>{scale, 0, 0}, rows,
                pool, stop_);
    int64_t sum[2] = {0, 0};
    for (size_t i = 0; i < 6; ++i) sum[i % 2] += packed.words[i];
    EXPECT_NEAR(packed.format.Unpack(sum).gradient, -2 * scale, 1e-12 * scale);
    EXPECT_NEAR(packed.format.Unpack(sum).hessian, scale, 1e-12 * scale);
    EXPECT_EQ(packed.format.Unpack(sum).rows, 3);
  }
}

// Every cut of one feature, by sums over the rows.
TEST_F(HistogramTest, SplitIsTheBestOfAllCuts) {
  for (const double l2 : {0.0, 3.0}) {
    for (const int64_t min_rows : {int64_t{1}, int64_t{30}}) {
      Prepare({.rows = 400, .features = 4, .hessians = true, .distinct = 40});
      const HistogramLayout layout(*features_, AllFeatures(), 2);
      const std::vector<int64_t> histogram = Fill(layout, Numbers(0, 400));
      GradientSums node;
      for (size_t row = 0; row < 400; ++row) {
        node.gradient += gradients_[row];
        node.hessian += hessians_[row];
      }
      node.rows = 400;
      const auto score = [&](const GradientSums& s) {
        return s.gradient * s.gradient / (s.hessian + l2);
      };
      for (int f = 0; f < 4; ++f) {
        double best = 0;
        for (int cut = 0; cut < 40; ++cut) {
          for (const bool missing_left : {false, true}) {
            GradientSums left;
            for (size_t row = 0; row < 400; ++row) {
              const double x = set_.numbers[static_cast<size_t>(f)][row];
              if (std::isnan(x) ? !missing_left : x > cut) continue;
              left.gradient += gradients_[row];
              left.hessian += hessians_[row];
              ++left.rows;
            }
            const GradientSums right = {node.gradient - left.gradient, node.hessian - left.hessian,
                                        400 - left.rows};
            if (left.rows < min_rows || right.rows < min_rows) continue;
            best = std::max(best, score(left) + score(right) - score(node));
          }
        }
        const HistogramSplit split = FindHistogramSplit(
            *features_, f, packed_.format, histogram.data() + layout.offset(static_cast<size_t>(f)),
            node, {.min_rows = min_rows, .l2 = l2}, {}, 0);
        EXPECT_NEAR(split.gain, best, 1e-9);
        // The side of every row is what the sums say.
        GradientSums left;
        for (size_t row = 0; row < 400; ++row) {
          const size_t code = static_cast<size_t>(features_->Code(f, static_cast<int64_t>(row)));
          if (!split.left_codes.Contains(code)) continue;
          left.gradient += gradients_[row];
          ++left.rows;
        }
        EXPECT_EQ(left.rows, split.left.rows);
        EXPECT_NEAR(left.gradient, split.left.gradient, 1e-9);
        EXPECT_EQ(split.right.rows, 400 - left.rows);
      }
    }
  }
}

// Bounds that do not bind and a direction that the split has anyway change nothing but the path
// through the code.
TEST_F(HistogramTest, IdleConstraintsChangeNothing) {
  Prepare({.rows = 400, .features = 4, .distinct = 40});
  const HistogramLayout layout(*features_, AllFeatures(), 1);
  const std::vector<int64_t> histogram = Fill(layout, Numbers(0, 400));
  for (size_t f = 0; f < 4; ++f) {
    int64_t total = 0;
    for (size_t i = 0; i < layout.width(f); ++i) total += histogram[layout.offset(f) + i];
    const GradientSums node = packed_.format.Unpack(&total);
    const auto find = [&](const ValueBounds& bounds, int direction) {
      return FindHistogramSplit(*features_, static_cast<int32_t>(f), packed_.format,
                                histogram.data() + layout.offset(f), node, {.min_rows = 5}, bounds,
                                direction);
    };
    const HistogramSplit free = find({}, 0);
    ASSERT_TRUE(free.found());
    const int direction = NewtonStep(free.right, 0) > NewtonStep(free.left, 0) ? 1 : -1;
    const HistogramSplit held = find({-1e9, 1e9}, direction);
    EXPECT_EQ(free.left_codes, held.left_codes);
    EXPECT_NEAR(free.gain, held.gain, 1e-9);
    const HistogramSplit against = find({}, -direction);
    EXPECT_LT(against.gain, free.gain);
  }
}

}  // namespace
}  // namespace trainyard
