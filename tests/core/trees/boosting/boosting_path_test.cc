#include "core/trees/boosting/boosting_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/trees/shrinkage.h"
#include "tests/core/trees/boosting/boosting_test_data.h"

namespace trainyard {
namespace {

constexpr auto kHierarchical = v1::HierarchicalShrinkageSpec::SCHEME_HIERARCHICAL;
const std::vector<double> kLambdas = {0, 1, 25, 500};

class PathTest : public ::testing::TestWithParam<Boost::Loss> {
 protected:
  PathTest()
      : set_(MakeSetFor(GetParam(), {.rows = 300, .numeric_features = 3, .weighted = true}, 71)),
        options_(SmallBoosting(GetParam(), 8)),
        pool_(2),
        features_(Bin(set_, pool_)),
        rows_(Numbers(0, 200)),
        validation_(Numbers(200, 300)) {}
  BoostingData Data() const {
    return {features_, set_.target(), set_.weights, rows_, validation_, {}};
  }

  TrainingSet set_;
  Boost options_;
  ThreadPool pool_;
  BinnedFeatures features_;
  std::vector<uint32_t> rows_;
  std::vector<uint32_t> validation_;
};

INSTANTIATE_TEST_SUITE_P(All, PathTest, ::testing::ValuesIn(AllLosses()),
                         [](const auto& param) { return Boost::Loss_Name(param.param); });

// Reference: shrink every tree for one strength and walk.
TEST_P(PathTest, ScoresAreThoseOfShrunkTrees) {
  BoostingResult result = *FitBoosting(Data(), options_, {}, pool_, {});
  for (const auto scheme : {kHierarchical, v1::HierarchicalShrinkageSpec::SCHEME_LEAF_BASED}) {
    const std::vector<double> path =
        *ShrinkagePathScores(result.ensemble, features_, validation_, scheme, kLambdas, pool_, {});
    const size_t outputs = static_cast<size_t>(result.ensemble.outputs);
    ASSERT_EQ(path.size(), kLambdas.size() * outputs * validation_.size());
    for (size_t s = 0; s < kLambdas.size(); ++s) {
      for (Tree& tree : result.ensemble.trees) Shrink(scheme, kLambdas[s], tree);
      for (size_t r = 0; r < validation_.size(); ++r) {
        const std::vector<double> scores =
            ScoresOf(result.ensemble, set_.columns(), validation_[r]);
        for (size_t k = 0; k < outputs; ++k) {
          EXPECT_EQ(path[(s * outputs + k) * validation_.size() + r], scores[k]);
        }
      }
    }
  }
}

// Without shrinkage the loss is the validation loss that the fit reported.
TEST_P(PathTest, LossesBeginAtTheReportedOne) {
  const BoostingResult result = *FitBoosting(Data(), options_, {}, pool_, {});
  const std::vector<double> losses =
      *ShrinkagePathLosses(result.ensemble, Data(), options_, kHierarchical, kLambdas, pool_, {});
  ASSERT_EQ(losses.size(), kLambdas.size());
  EXPECT_DOUBLE_EQ(losses[0], result.rounds.back().validation_loss);
  EXPECT_NE(losses[1], losses[0]);
}

// A fit in the loop with lambda = 0 is the plain fit; its first tree is the plain one, shrunk.
TEST_P(PathTest, InTheLoopShrinksEachTreeFirst) {
  BoostingResult plain = *FitBoosting(Data(), options_, {}, pool_, {});
  options_.set_shrinkage_mode(Boost::SHRINKAGE_MODE_IN_LOOP);
  EXPECT_EQ(FitBoosting(Data(), options_, {}, pool_, {})->ensemble.trees, plain.ensemble.trees);
  const BoostingResult shrunk = *FitBoosting(Data(), options_, {.lambda = 10}, pool_, {});
  Shrink(kHierarchical, 10, plain.ensemble.trees[0]);
  EXPECT_EQ(shrunk.ensemble.trees[0], plain.ensemble.trees[0]);
  EXPECT_NE(shrunk.ensemble.trees.back(), plain.ensemble.trees.back());
}

TEST_P(PathTest, StopsWhenAsked) {
  const BoostingResult result = *FitBoosting(Data(), options_, {}, pool_, {});
  EXPECT_TRUE(absl::IsCancelled(
      ShrinkagePathLosses(result.ensemble, Data(), options_, kHierarchical, kLambdas, pool_, [] {
        return absl::CancelledError("stop");
      }).status()));
}

}  // namespace
}  // namespace trainyard
