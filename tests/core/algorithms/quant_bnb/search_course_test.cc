#include "core/algorithms/quant_bnb/search_course.h"

#include <optional>
#include <string>
#include <vector>

#include "core/algorithms/quant_bnb/state_bytes.h"
#include "core/base/testing/fake_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/algorithms/quant_bnb/random_case.h"

namespace trainyard::quant_bnb {
namespace {

using testing::ElementsAre;
using testing::Pair;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

SearchTree Stump(int feature, uint32_t rank) {
  return SearchTree::Join(feature, rank, SearchTree::Leaf(), SearchTree::Leaf());
}

class SearchCourseTest : public testing::Test {
 protected:
  SearchCourseTest() {
    observer_.report = [this](const SearchProgress& progress, const SearchTree* better) {
      reports_.emplace_back(progress.incumbent, better != nullptr);
    };
  }

  SearchCourse MakeCourse(double tolerance = 0) { return {spec_, tolerance, observer_, clock_}; }

  v1::QuantBnbSpec spec_;
  SearchObserver observer_;
  FakeClock clock_;
  std::vector<std::pair<double, bool>> reports_;
};

TEST_F(SearchCourseTest, ReportsBetterTreesAtOnceAndElseTwiceASecond) {
  SearchCourse course = MakeCourse();
  course.Begin({.tree = SearchTree::Leaf(), .loss = 10});
  EXPECT_FALSE(course.Offer(Stump(0, 1), 10));
  EXPECT_TRUE(course.Offer(Stump(0, 2), 8));
  clock_.Advance(absl::Milliseconds(499));
  EXPECT_FALSE(course.Ask());
  EXPECT_THAT(reports_, ElementsAre(Pair(10, true), Pair(8, true)));
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_FALSE(course.Ask());
  EXPECT_FALSE(course.Ask());
  EXPECT_THAT(reports_, ElementsAre(Pair(10, true), Pair(8, true), Pair(8, false)));
  const SearchOutcome outcome = course.Finish(v1::QuantBnbReport::STATUS_OPTIMAL);
  EXPECT_EQ(outcome.tree.nodes[0].rank, 2u);
  EXPECT_EQ(outcome.progress.incumbent, 8);
  EXPECT_EQ(outcome.progress.seconds, 0.5);
}

TEST_F(SearchCourseTest, BetterTreesOfOtherThreadsAreReportedByTheSearchingThread) {
  SearchCourse course = MakeCourse();
  course.Begin({.tree = SearchTree::Leaf(), .loss = 10});
  std::thread([&] { EXPECT_TRUE(course.Offer(Stump(0, 1), 7)); }).join();
  EXPECT_THAT(reports_, ElementsAre(Pair(10, true)));
  EXPECT_FALSE(course.Ask());
  EXPECT_THAT(reports_, ElementsAre(Pair(10, true), Pair(7, true)));
}

TEST_F(SearchCourseTest, BoundNeverFallsAndStaysBelowTheIncumbentByTheTolerance) {
  SearchCourse course = MakeCourse(0.25);
  course.Begin({.tree = SearchTree::Leaf(), .loss = 10});
  EXPECT_EQ(course.cutoff(), 9.75);
  course.SetLeastAlive(4);
  EXPECT_EQ(course.lower_bound(), 3.75);
  course.SetLeastAlive(2);
  EXPECT_EQ(course.lower_bound(), 3.75);
  EXPECT_EQ(course.Limit(), std::nullopt);
  course.SetLeastAlive(kInfinity);
  EXPECT_EQ(course.lower_bound(), 9.75);
  EXPECT_EQ(course.Limit(), v1::QuantBnbReport::STATUS_OPTIMAL);
}

TEST_F(SearchCourseTest, LimitsEndTheSearch) {
  spec_.mutable_limits()->set_time_seconds(3);
  spec_.mutable_limits()->set_evaluations(5);
  spec_.mutable_limits()->set_relative_gap(0.5);
  SearchCourse course = MakeCourse();
  course.Begin({.seconds = 1, .tree = SearchTree::Leaf(), .loss = 10});
  clock_.Advance(absl::Milliseconds(1999));
  EXPECT_FALSE(course.Ask());
  EXPECT_EQ(course.Limit(), std::nullopt);
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(course.Limit(), v1::QuantBnbReport::STATUS_TIME_LIMIT);
  clock_.Advance(absl::Milliseconds(2));
  EXPECT_TRUE(course.Ask());
  course.counters().set_evaluated(5);
  EXPECT_EQ(course.Limit(), v1::QuantBnbReport::STATUS_EVALUATION_LIMIT);
  course.SetLeastAlive(5);
  EXPECT_EQ(course.Limit(), v1::QuantBnbReport::STATUS_GAP_REACHED);
}

TEST_F(SearchCourseTest, StopsWhenTheObserverRefuses) {
  bool cancelled = false;
  observer_.check = [&] { return cancelled ? absl::CancelledError("enough") : absl::OkStatus(); };
  SearchCourse course = MakeCourse();
  course.Begin({.tree = SearchTree::Leaf(), .loss = 10});
  EXPECT_FALSE(course.Ask());
  cancelled = true;
  clock_.Advance(absl::Milliseconds(10));
  EXPECT_TRUE(course.Ask());
  EXPECT_EQ(course.status(), absl::CancelledError("enough"));
}

TEST_F(SearchCourseTest, ChecksOnTheFirstAsk) {
  observer_.check = [] { return absl::CancelledError("never began"); };
  SearchCourse course = MakeCourse();
  course.Begin({.tree = SearchTree::Leaf(), .loss = 10});
  EXPECT_TRUE(course.Ask());
}

TEST_F(SearchCourseTest, CheckpointsEveryFewSecondsAndPassesTheStatusOn) {
  int states = 0;
  observer_.checkpoint = [&](std::string) {
    return ++states == 2 ? absl::ResourceExhaustedError("disk full") : absl::OkStatus();
  };
  SearchCourse course = MakeCourse();
  course.Begin({.tree = SearchTree::Leaf(), .loss = 10});
  const auto encode = [](const CourseState&) { return std::string("state"); };
  EXPECT_TRUE(course.CheckpointIfDue(encode).ok());
  EXPECT_EQ(states, 0);
  clock_.Advance(absl::Seconds(6));
  EXPECT_TRUE(course.CheckpointIfDue(encode).ok());
  EXPECT_TRUE(course.CheckpointIfDue(encode).ok());
  EXPECT_EQ(states, 1);
  clock_.Advance(absl::Seconds(6));
  EXPECT_EQ(course.CheckpointIfDue(encode).code(), absl::StatusCode::kResourceExhausted);
}

class StateBytesTest : public testing::Test {
 protected:
  StateBytesTest() : random_(MakeRandomCase(1)), pool_(1) {}

  SearchProblem MakeProblem() const {
    return SearchProblem::Build(random_.input(), random_.spec, pool_, nullptr).value();
  }

  RandomCase random_;
  mutable ThreadPool pool_;
};

TEST_F(StateBytesTest, AStateComesBackAsItWas) {
  const SearchProblem problem = MakeProblem();
  ASSERT_GT(problem.feature_count(), 0);
  CourseState course{.seconds = 1.5, .tree = Stump(0, 0), .loss = 3, .lower_bound = 2};
  course.counters.set_evaluated(7);
  ByteWriter writer = BeginState(11, 22);
  PutCourse(course, writer);
  writer.PutList(std::vector<uint64_t>{4, 5});
  const std::string bytes = std::move(writer).Seal();

  ByteReader reader = OpenState(bytes, 11, 22);
  const CourseState read = TakeCourse(problem, reader);
  EXPECT_THAT(reader.TakeList<uint64_t>(), ElementsAre(4, 5));
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(read.seconds, 1.5);
  EXPECT_EQ(read.loss, 3);
  EXPECT_EQ(read.lower_bound, 2);
  EXPECT_EQ(read.counters.evaluated(), 7);
  EXPECT_EQ(read.tree.nodes.size(), 3u);
}

TEST_F(StateBytesTest, DamagedOrForeignStatesAreRefused) {
  ByteWriter writer = BeginState(11, 22);
  writer.Put(int64_t{5});
  const std::string bytes = std::move(writer).Seal();
  EXPECT_TRUE(OpenState(bytes, 11, 22).ok());
  EXPECT_FALSE(OpenState(bytes, 12, 22).ok());
  EXPECT_FALSE(OpenState(bytes, 11, 23).ok());
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 4);
    EXPECT_FALSE(OpenState(damaged, 11, 22).ok()) << i;
    EXPECT_FALSE(OpenState(std::string_view(bytes).substr(0, i), 11, 22).ok()) << i;
  }
}

TEST_F(StateBytesTest, TreesOfOtherFeaturesAreRefused) {
  const SearchProblem problem = MakeProblem();
  ByteWriter writer = BeginState(11, 22);
  PutCourse({.tree = Stump(problem.feature_count(), 0), .loss = 3}, writer);
  const std::string bytes = std::move(writer).Seal();
  ByteReader reader = OpenState(bytes, 11, 22);
  TakeCourse(problem, reader);
  EXPECT_FALSE(reader.ok());
}

TEST_F(StateBytesTest, FingerprintsDifferByDataAndOptionsButNotByLimits) {
  const SearchProblem problem = MakeProblem();
  v1::QuantBnbSpec spec = random_.spec;
  const uint64_t fingerprint = FingerprintOf(problem, spec);
  spec.mutable_limits()->set_time_seconds(5);
  EXPECT_EQ(FingerprintOf(problem, spec), fingerprint);
  spec.set_depth(spec.depth() + 1);
  EXPECT_NE(FingerprintOf(problem, spec), fingerprint);
  const RandomCase other = MakeRandomCase(2);
  EXPECT_NE(FingerprintOf(SearchProblem::Build(other.input(), other.spec, pool_, nullptr).value(),
                          random_.spec),
            fingerprint);
}

}  // namespace
}  // namespace trainyard::quant_bnb
