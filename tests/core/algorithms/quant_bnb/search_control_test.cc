// How the searches stop, report and go on.
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/algorithms/quant_bnb/pointwise_search.h"
#include "core/algorithms/quant_bnb/quantile_search.h"
#include "core/base/random.h"
#include "core/base/testing/fake_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/schema/field_rules.h"

namespace trainyard::quant_bnb {
namespace {

using Spec = v1::QuantBnbSpec;
using Report = v1::QuantBnbReport;

struct Method {
  Spec::Bound bound;
  int depth;
};

std::string NameOf(const testing::TestParamInfo<Method>& info) {
  std::string name = Spec::Bound_Name(info.param.bound) + std::to_string(info.param.depth);
  std::erase(name, '_');
  return name;
}

// A table large enough for many rounds: noisy classes of four real features.
class SearchControlTest : public testing::TestWithParam<Method> {
 protected:
  static constexpr int kRows = 300;
  static constexpr int kFeatures = 4;

  SearchControlTest() : pool_(1) {
    Rng rng(5);
    columns_.resize(kFeatures);
    for (int row = 0; row < kRows; ++row) {
      for (std::vector<double>& column : columns_) column.push_back(rng.NextGaussian());
      const size_t i = static_cast<size_t>(row);
      const bool inside = columns_[0][i] * columns_[1][i] + 0.5 * columns_[2][i] > 0;
      classes_.push_back(rng.NextDouble() < 0.15 ? !inside : inside);
      rows_.push_back(row);
    }
    for (const std::vector<double>& column : columns_) {
      features_.push_back(FeatureColumn::Numeric(column));
    }
    FillDefaults(spec_);
    spec_.set_depth(GetParam().depth);
    spec_.set_bound(GetParam().bound);
    OptimalTreeInput input;
    input.features = features_;
    input.rows = rows_;
    input.classes = classes_;
    input.outputs = 2;
    problem_ = SearchProblem::Build(input, spec_, pool_, nullptr).value();
  }

  absl::StatusOr<SearchOutcome> Search(const SearchObserver& observer) {
    return Search(SearchTree::Leaf(), observer);
  }
  absl::StatusOr<SearchOutcome> Search(SearchTree start, const SearchObserver& observer) {
    const auto search = spec_.bound() == Spec::BOUND_POINTWISE ? PointwiseSearch : QuantileSearch;
    return search(*problem_, spec_, std::move(start), pool_, observer, clock_);
  }
  SearchOutcome Complete() { return Search(SearchObserver()).value(); }

  // An observer for whom `step` passes at every question.
  SearchObserver Stepping(absl::Duration step) {
    SearchObserver observer;
    observer.check = [this, step] {
      clock_.Advance(step);
      return absl::OkStatus();
    };
    return observer;
  }

  std::vector<std::vector<double>> columns_;
  std::vector<int32_t> classes_;
  std::vector<int64_t> rows_;
  std::vector<FeatureColumn> features_;
  Spec spec_;
  ThreadPool pool_;
  FakeClock clock_;
  std::optional<SearchProblem> problem_;
};

void ExpectSame(const SearchOutcome& a, const SearchOutcome& b) {
  EXPECT_EQ(a.status, b.status);
  EXPECT_EQ(a.progress.incumbent, b.progress.incumbent);
  EXPECT_EQ(a.progress.lower_bound, b.progress.lower_bound);
  EXPECT_EQ(a.progress.counters.SerializeAsString(), b.progress.counters.SerializeAsString());
  ASSERT_EQ(a.tree.nodes.size(), b.tree.nodes.size());
  for (size_t i = 0; i < a.tree.nodes.size(); ++i) {
    EXPECT_EQ(a.tree.nodes[i].feature, b.tree.nodes[i].feature);
    EXPECT_EQ(a.tree.nodes[i].rank, b.tree.nodes[i].rank);
  }
}

TEST_P(SearchControlTest, GoesOnFromEveryCheckpointToTheSameEnd) {
  const SearchOutcome complete = Complete();
  std::vector<std::string> states;
  SearchObserver observer = Stepping(absl::Seconds(4));
  observer.checkpoint = [&](std::string state) {
    states.push_back(std::move(state));
    return absl::OkStatus();
  };
  ASSERT_TRUE(Search(observer).ok());
  ASSERT_GT(states.size(), 2u);
  for (std::string& state : states) {
    SearchObserver again;
    again.resume = std::move(state);
    double seconds = 0;
    again.report = [&](const SearchProgress& progress, const SearchTree*) {
      if (seconds == 0) seconds = progress.seconds;
    };
    const absl::StatusOr<SearchOutcome> outcome = Search(again);
    ASSERT_TRUE(outcome.ok());
    ExpectSame(*outcome, complete);
    EXPECT_GE(seconds, 5) << "time of the earlier attempt counts";
  }
}

TEST_P(SearchControlTest, StatesThatDoNotFitAreIgnored) {
  const SearchOutcome complete = Complete();
  SearchObserver observer;
  observer.resume = "of another program";
  ExpectSame(Search(observer).value(), complete);
}

TEST_P(SearchControlTest, AFailedCheckpointEndsTheSearch) {
  SearchObserver observer = Stepping(absl::Seconds(1));
  observer.checkpoint = [](std::string) { return absl::ResourceExhaustedError("disk full"); };
  EXPECT_EQ(Search(observer).status(), absl::ResourceExhaustedError("disk full"));
}

TEST_P(SearchControlTest, CanBeCancelledAtAnyQuestion) {
  int total = 0;
  SearchObserver counting = Stepping(absl::Milliseconds(10));
  const auto step = counting.check;
  counting.check = [&] {
    ++total;
    return step();
  };
  ASSERT_TRUE(Search(counting).ok());
  ASSERT_GT(total, 10);
  for (int last : {1, 2, total / 3, total / 2, total - 1}) {
    SearchObserver observer = Stepping(absl::Milliseconds(10));
    observer.check = [&, left = last]() mutable {
      clock_.Advance(absl::Milliseconds(10));
      return left-- > 0 ? absl::OkStatus() : absl::CancelledError("enough");
    };
    EXPECT_EQ(Search(observer).status(), absl::CancelledError("enough"));
  }
}

TEST_P(SearchControlTest, TimeLimitKeepsAValidBoundAndTheBestTree) {
  const SearchOutcome complete = Complete();
  const double leaf = problem_->Loss(SearchTree::Leaf());
  double last_bound = 0;
  double last_incumbent = leaf;
  for (const double seconds : {0.001, 0.05, 0.2, 0.5, 1.0}) {
    spec_.mutable_limits()->set_time_seconds(seconds);
    const absl::StatusOr<SearchOutcome> outcome = Search(Stepping(absl::Milliseconds(3)));
    ASSERT_TRUE(outcome.ok());
    if (outcome->status == Report::STATUS_OPTIMAL) break;
    EXPECT_EQ(outcome->status, Report::STATUS_TIME_LIMIT);
    EXPECT_LE(outcome->progress.lower_bound, complete.progress.incumbent);
    EXPECT_GE(outcome->progress.incumbent, complete.progress.incumbent);
    EXPECT_EQ(problem_->Loss(outcome->tree), outcome->progress.incumbent);
    EXPECT_GE(outcome->progress.lower_bound, last_bound);
    EXPECT_LE(outcome->progress.incumbent, last_incumbent);
    last_bound = outcome->progress.lower_bound;
    last_incumbent = outcome->progress.incumbent;
  }
}

TEST_P(SearchControlTest, OtherLimitsEndTheSearch) {
  const SearchOutcome complete = Complete();
  spec_.mutable_limits()->set_evaluations(1);
  const SearchOutcome few = Complete();
  EXPECT_EQ(few.status, Report::STATUS_EVALUATION_LIMIT);
  EXPECT_LT(few.progress.counters.evaluated(), complete.progress.counters.evaluated());
  EXPECT_LE(few.progress.lower_bound, complete.progress.incumbent);
  spec_.mutable_limits()->set_evaluations(0);
  spec_.mutable_limits()->set_relative_gap(0.9);
  const SearchOutcome gap = Complete();
  EXPECT_EQ(gap.status, Report::STATUS_GAP_REACHED);
  EXPECT_LE(gap.progress.gap(), 0.9 * gap.progress.incumbent);
  EXPECT_LE(gap.progress.lower_bound, complete.progress.incumbent);
}

TEST_P(SearchControlTest, StartsFromTheGivenTree) {
  const SearchOutcome complete = Complete();
  std::vector<double> incumbents;
  SearchObserver observer;
  observer.report = [&](const SearchProgress& progress, const SearchTree*) {
    incumbents.push_back(progress.incumbent);
  };
  const absl::StatusOr<SearchOutcome> outcome = Search(complete.tree, observer);
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(incumbents.front(), complete.progress.incumbent);
  EXPECT_EQ(outcome->progress.incumbent, complete.progress.incumbent);
  EXPECT_LE(outcome->progress.counters.subproblems(), complete.progress.counters.subproblems());
}

TEST_P(SearchControlTest, CountsAddUp) {
  const SearchOutcome complete = Complete();
  const v1::SearchCounters& counters = complete.progress.counters;
  EXPECT_EQ(counters.thresholds(), kFeatures * (kRows - 1));
  EXPECT_GT(counters.subproblems(), 0);
  EXPECT_GT(counters.batches(), 0);
  if (GetParam().bound == Spec::BOUND_POINTWISE) return;
  ASSERT_GT(counters.alive_size(), 1);
  for (int i = 1; i < counters.alive_size(); ++i) {
    EXPECT_LE(counters.alive(i), counters.alive(i - 1));
  }
  if (GetParam().depth == 2) {
    EXPECT_EQ(counters.evaluated() + counters.pruned(), counters.thresholds());
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, SearchControlTest,
                         testing::Values(Method{Spec::BOUND_POINTWISE, 2},
                                         Method{Spec::BOUND_POINTWISE, 3},
                                         Method{Spec::BOUND_W0, 2}, Method{Spec::BOUND_W0, 3},
                                         Method{Spec::BOUND_W1, 3}, Method{Spec::BOUND_W2, 2}),
                         NameOf);

TEST(QuantileSearchTest, FourLevelsAreRefused) {
  const std::vector<double> column = {1, 2};
  const FeatureColumn features[] = {FeatureColumn::Numeric(column)};
  const int64_t rows[] = {0, 1};
  const int32_t classes[] = {0, 1};
  OptimalTreeInput input;
  input.features = features;
  input.rows = rows;
  input.classes = classes;
  input.outputs = 2;
  Spec spec;
  FillDefaults(spec);
  spec.set_depth(4);
  spec.set_bound(Spec::BOUND_W1);
  ThreadPool pool(1);
  const SearchProblem problem = SearchProblem::Build(input, spec, pool, nullptr).value();
  const absl::Status status =
      QuantileSearch(problem, spec, SearchTree::Leaf(), pool, SearchObserver()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "depth is 4; with the bound BOUND_W1 it must be at most 3");
}

}  // namespace
}  // namespace trainyard::quant_bnb
