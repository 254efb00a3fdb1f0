#include <cmath>
#include <limits>

#include "gtest/gtest.h"
#include "server/storage/testing/temp_store.h"
#include "tests/server/storage/storage_test_util.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kAll = 1'000'000;
constexpr int64_t kNoLimit = int64_t{1} << 40;

class CatalogueEventsTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(Insert(catalogue(), MakeJob("j")), IsOk()); }

  Catalogue& catalogue() { return store_.catalogue(); }
  std::vector<int64_t> Sequences(int64_t from, int max_events, int64_t max_bytes) {
    const auto events = catalogue().ReadEvents(Name("j"), from, max_events, max_bytes);
    EXPECT_THAT(events.status(), IsOk());
    std::vector<int64_t> sequences;
    for (const v1::JobEvent& event : *events) sequences.push_back(event.sequence());
    return sequences;
  }
  // Steps of the points listed, page by page.
  std::vector<int64_t> Steps(MetricQuery query) {
    std::vector<int64_t> steps;
    do {
      const auto page = catalogue().ListMetrics(query);
      EXPECT_THAT(page.status(), IsOk());
      if (!page.ok()) break;
      for (const v1::MetricPoint& point : page->points) steps.push_back(point.step());
      query.page_token = page->next_page_token;
    } while (!query.page_token.empty());
    return steps;
  }

  TempStore store_;
};

TEST_F(CatalogueEventsTest, ReadsWhatWasAppended) {
  v1::JobEvent change;
  change.set_sequence(2);
  change.set_attempt(1);
  change.mutable_state_change()->set_to(v1::Job::STATE_RUNNING);
  ASSERT_THAT(Append(catalogue(), Name("j"), {MakeLog(1), change}), IsOk());
  ASSERT_THAT(Append(catalogue(), Name("j"), {MakeLog(3)}), IsOk());
  const auto events = catalogue().ReadEvents(Name("j"), 1, kAll, kNoLimit);
  ASSERT_THAT(events.status(), IsOk());
  ASSERT_THAT(*events, SizeIs(3));
  EXPECT_THAT((*events)[0], EqualsProto(MakeLog(1)));
  EXPECT_THAT((*events)[1], EqualsProto(change));
  EXPECT_EQ(catalogue().GetJob(Name("j"))->newest_sequence(), 3);
  EXPECT_EQ(catalogue().ListJobs({.project = "p"})->jobs[0].newest_sequence(), 3);
}

TEST_F(CatalogueEventsTest, ReadsFromEveryPlaceInEverySegmentation) {
  int64_t next = 1;
  for (const int size : {1, 2, 3, 500, 1, 1, 7}) {
    std::vector<v1::JobEvent> events;
    // 500 events of 100 bytes take several segments.
    for (int i = 0; i < size; ++i) events.push_back(MakeLog(next++, std::string(100, 'x')));
    ASSERT_THAT(Append(catalogue(), Name("j"), events), IsOk());
  }
  const int64_t newest = next - 1;
  for (int64_t from = -1; from <= newest + 2; ++from) {
    const std::vector<int64_t> sequences = Sequences(from, 3, kNoLimit);
    const int64_t first = std::max<int64_t>(from, 1);
    ASSERT_EQ(sequences.size(), static_cast<size_t>(std::clamp<int64_t>(newest - first + 1, 0, 3)));
    for (size_t i = 0; i < sequences.size(); ++i) {
      ASSERT_EQ(sequences[i], first + static_cast<int64_t>(i));
    }
  }
  EXPECT_THAT(Sequences(1, kAll, kNoLimit), SizeIs(static_cast<size_t>(newest)));
  EXPECT_THAT(Sequences(std::numeric_limits<int64_t>::max(), 3, kNoLimit), IsEmpty());
  EXPECT_THAT(Sequences(1, 0, kNoLimit), IsEmpty());
}

TEST_F(CatalogueEventsTest, BytesAreLimitedButOneEventAlwaysComes) {
  ASSERT_THAT(Append(catalogue(), Name("j"),
                     {MakeLog(1, std::string(1000, 'x')), MakeLog(2, std::string(1000, 'x')),
                      MakeLog(3, std::string(100'000, 'x')), MakeLog(4)}),
              IsOk());
  EXPECT_THAT(Sequences(1, kAll, 1), ElementsAre(1));
  EXPECT_THAT(Sequences(1, kAll, 1500), ElementsAre(1));
  EXPECT_THAT(Sequences(1, kAll, 2500), ElementsAre(1, 2));
  EXPECT_THAT(Sequences(3, kAll, 0), ElementsAre(3));
}

TEST_F(CatalogueEventsTest, SequencesHaveNoGaps) {
  EXPECT_THAT(Append(catalogue(), Name("j"), {MakeLog(2)}),
              FailsWith(absl::StatusCode::kFailedPrecondition, "number 2, expected 1"));
  ASSERT_THAT(Append(catalogue(), Name("j"), {MakeLog(1), MakeLog(2)}), IsOk());
  for (const int64_t sequence : {1, 2, 4}) {
    EXPECT_THAT(Append(catalogue(), Name("j"), {MakeLog(sequence)}),
                FailsWith(absl::StatusCode::kFailedPrecondition, "expected 3"));
  }
  EXPECT_THAT(Append(catalogue(), Name("j"), {MakeLog(3), MakeLog(5)}),
              FailsWith(absl::StatusCode::kFailedPrecondition, "number 5, expected 4"));
  EXPECT_THAT(Sequences(1, kAll, kNoLimit), ElementsAre(1, 2)) << "a refused unit leaves nothing";
  EXPECT_THAT(Append(catalogue(), Name("j"), {}), IsOk());
  EXPECT_THAT(Append(catalogue(), Name("k"), {MakeLog(1)}),
              FailsWith(absl::StatusCode::kNotFound, "projects/p/jobs/k"));
  EXPECT_THAT(catalogue().ReadEvents(Name("k"), 1, 1, 1).status(),
              FailsWith(absl::StatusCode::kNotFound, "projects/p/jobs/k"));
}

TEST_F(CatalogueEventsTest, JobsDoNotSeeEachOthersEvents) {
  ASSERT_THAT(Insert(catalogue(), MakeJob("k")), IsOk());
  ASSERT_THAT(Append(catalogue(), Name("k"), {MakeLog(1, "of k")}), IsOk());
  EXPECT_THAT(Sequences(1, kAll, kNoLimit), IsEmpty());
  ASSERT_THAT(Append(catalogue(), Name("j"), {MakeLog(1, "of j")}), IsOk());
  EXPECT_EQ(catalogue().ReadEvents(Name("j"), 1, kAll, kNoLimit)->at(0).log().text(), "of j");
}

TEST_F(CatalogueEventsTest, ListsMetricsByNameThenStep) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  ASSERT_THAT(Append(catalogue(), Name("j"),
                     {MakeMetric(1, "loss", 2, 0.1), MakeMetric(2, "accuracy", 7, -infinity),
                      MakeMetric(3, "loss", 1, nan), MakeLog(4)}),
              IsOk());
  const auto page = catalogue().ListMetrics({.job = Name("j")});
  ASSERT_THAT(page.status(), IsOk());
  ASSERT_THAT(page->points, SizeIs(3));
  EXPECT_THAT(NamesOf(page->points), ElementsAre("accuracy", "loss", "loss"));
  EXPECT_EQ(page->points[0].value(), -infinity);
  EXPECT_EQ(page->points[0].time().seconds(), 107);
  EXPECT_TRUE(std::isnan(page->points[1].value()));
  EXPECT_EQ(page->points[2].value(), 0.1);
  EXPECT_EQ(page->next_page_token, "");
  EXPECT_THAT(Steps({.job = Name("j"), .metrics = {"loss", "none"}}), ElementsAre(1, 2));
  EXPECT_THAT(Steps({.job = Name("j"), .metrics = {"none"}}), IsEmpty());
}

TEST_F(CatalogueEventsTest, ARepeatedStepReplacesThePoint) {
  ASSERT_THAT(Append(catalogue(), Name("j"), {MakeMetric(1, "loss", 5, 1)}), IsOk());
  ASSERT_THAT(Append(catalogue(), Name("j"), {MakeMetric(2, "loss", 5, 2)}), IsOk());
  const auto page = catalogue().ListMetrics({.job = Name("j")});
  ASSERT_THAT(page->points, SizeIs(1));
  EXPECT_EQ(page->points[0].value(), 2);
}

TEST_F(CatalogueEventsTest, PagesOfMetricsHoldEveryPointOnce) {
  std::vector<v1::JobEvent> events;
  for (int i = 0; i < 90; ++i) {
    events.push_back(MakeMetric(i + 1, absl::StrCat("m", i % 3), i / 3, i));
  }
  ASSERT_THAT(Append(catalogue(), Name("j"), events), IsOk());
  const std::vector<int64_t> all = Steps({.job = Name("j")});
  ASSERT_THAT(all, SizeIs(90));
  for (const int32_t page_size : {1, 7, 29, 30, 31, 89, 90}) {
    EXPECT_EQ(Steps({.job = Name("j"), .page_size = page_size}), all) << page_size;
  }
}

TEST_F(CatalogueEventsTest, ThinsEvenlyAndKeepsTheEnds) {
  std::vector<v1::JobEvent> events;
  for (int i = 0; i <= 100; ++i) events.push_back(MakeMetric(i + 1, "loss", 10 * i, i));
  ASSERT_THAT(Append(catalogue(), Name("j"), events), IsOk());
  const auto thinned = [&](int32_t count) {
    return Steps({.job = Name("j"), .max_points = count});
  };
  EXPECT_THAT(thinned(1), ElementsAre(1000));
  EXPECT_THAT(thinned(2), ElementsAre(0, 1000));
  EXPECT_THAT(thinned(5), ElementsAre(0, 250, 500, 750, 1000));
  EXPECT_THAT(thinned(4), ElementsAre(0, 340, 670, 1000));  // marks 333 and 666
  EXPECT_THAT(thinned(100), SizeIs(100));
  EXPECT_THAT(thinned(101), SizeIs(101));
  EXPECT_THAT(thinned(0), SizeIs(101));
  for (int32_t page_size = 1; page_size < 6; ++page_size) {
    EXPECT_THAT(Steps({.job = Name("j"), .max_points = 5, .page_size = page_size}),
                ElementsAre(0, 250, 500, 750, 1000));
  }
}

TEST_F(CatalogueEventsTest, ThinsUnevenStepsUpToTheLimitsOfNumbers) {
  const int64_t least = std::numeric_limits<int64_t>::min();
  const int64_t most = std::numeric_limits<int64_t>::max();
  std::vector<v1::JobEvent> events;
  int64_t sequence = 0;
  for (const int64_t step :
       {least, least + 1, int64_t{-1}, int64_t{0}, int64_t{1}, most - 1, most}) {
    events.push_back(MakeMetric(++sequence, "a", step, 0));
    events.push_back(MakeMetric(++sequence, "b", step, 0));
  }
  ASSERT_THAT(Append(catalogue(), Name("j"), events), IsOk());
  EXPECT_THAT(Steps({.job = Name("j"), .metrics = {"a"}, .max_points = 3}),
              ElementsAre(least, -1, most));
  EXPECT_THAT(Steps({.job = Name("j"), .max_points = 2, .page_size = 1}),
              ElementsAre(least, most, least, most));
}

TEST_F(CatalogueEventsTest, NamesBadMetricQueries) {
  EXPECT_THAT(catalogue().ListMetrics({.job = Name("k")}).status(),
              FailsWith(absl::StatusCode::kNotFound, "projects/p/jobs/k"));
  EXPECT_THAT(catalogue().ListMetrics({.job = Name("j"), .max_points = -1}).status(),
              Violates("max_points", "must not be negative"));
  EXPECT_THAT(catalogue().ListMetrics({.job = Name("j"), .page_size = -1}).status(),
              Violates("page_size", "must not be negative"));
  ASSERT_THAT(Append(catalogue(), Name("j"), {MakeMetric(1, "a", 1, 1), MakeMetric(2, "a", 2, 1)}),
              IsOk());
  const std::string token =
      catalogue().ListMetrics({.job = Name("j"), .page_size = 1})->next_page_token;
  ASSERT_NE(token, "");
  EXPECT_THAT(
      catalogue().ListMetrics({.job = Name("j"), .metrics = {"a"}, .page_token = token}).status(),
      Violates("page_token", "is not a token"));
}

}  // namespace
}  // namespace trainyard
