#include <algorithm>
#include <random>
#include <set>

#include "gtest/gtest.h"
#include "server/storage/testing/temp_store.h"
#include "tests/server/storage/storage_test_util.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CatalogueListTest : public testing::Test {
 protected:
  Catalogue& catalogue() { return store_.catalogue(); }
  std::vector<std::string> List(std::string filter, std::string order_by = "") {
    const auto page = catalogue().ListJobs(
        {.project = "p", .filter = std::move(filter), .order_by = std::move(order_by)});
    EXPECT_THAT(page.status(), IsOk());
    return page.ok() ? NamesOf(page->jobs) : std::vector<std::string>();
  }
  void InsertMany(int count) {
    ASSERT_THAT(catalogue().WriteAndWait([&](CatalogueTransaction& transaction) -> absl::Status {
      for (int i = 0; i < count; ++i) {
        v1::Job job = MakeJob(absl::StrCat("j", i), 1000 + i / 3);
        job.set_priority(i % 5);
        EXPECT_THAT(transaction.InsertJob(job), IsOk());
      }
      return absl::OkStatus();
    }),
                IsOk());
  }

  TempStore store_;
};

TEST_F(CatalogueListTest, ListsOneProjectNewestFirstWithoutReports) {
  v1::Job job = MakeJob("old", 10);
  job.mutable_report()->set_wall_seconds(5);
  job.add_attempts()->set_pid(3);
  ASSERT_THAT(Insert(catalogue(), job), IsOk());
  ASSERT_THAT(Insert(catalogue(), MakeJob("new", 20)), IsOk());
  ASSERT_THAT(Insert(catalogue(), MakeJob("other", 30, "q")), IsOk());
  const auto page = catalogue().ListJobs({.project = "p"});
  ASSERT_THAT(page.status(), IsOk());
  EXPECT_THAT(NamesOf(page->jobs), ElementsAre("new", "old"));
  EXPECT_EQ(page->next_page_token, "");
  job.clear_report();
  EXPECT_THAT(page->jobs[1], EqualsProto(job));
  EXPECT_THAT(catalogue().ListJobs({.project = "nobody"})->jobs, IsEmpty());
}

TEST_F(CatalogueListTest, FiltersByEveryField) {
  v1::Job a = MakeJob("a", 10);
  a.set_state(v1::Job::STATE_RUNNING);
  a.set_priority(-5);
  a.set_display_name("first");
  (*a.mutable_labels())["team"] = "blue";
  v1::Job b = MakeJob("b", 20);
  b.set_algorithm("hierarchical_shrinkage");
  (*b.mutable_labels())["team"] = "red";
  const v1::Job c = MakeJob("c", 30);
  for (const v1::Job& job : {a, b, c}) ASSERT_THAT(Insert(catalogue(), job), IsOk());
  EXPECT_THAT(List("state = RUNNING"), ElementsAre("a"));
  EXPECT_THAT(List("state != RUNNING"), ElementsAre("c", "b"));
  EXPECT_THAT(List("algorithm = hierarchical_shrinkage"), ElementsAre("b"));
  EXPECT_THAT(List("priority < 0"), ElementsAre("a"));
  EXPECT_THAT(List("priority >= 0"), ElementsAre("c", "b"));
  EXPECT_THAT(List("display_name = first"), ElementsAre("a"));
  EXPECT_THAT(List("create_time > 1970-01-01T00:00:10Z AND create_time <= 1970-01-01T00:00:20Z"),
              ElementsAre("b"));
  EXPECT_THAT(List("labels.team = blue"), ElementsAre("a"));
  EXPECT_THAT(List("labels.team != blue"), ElementsAre("b"));
  EXPECT_THAT(List("labels.team > blue"), ElementsAre("b"));
  EXPECT_THAT(List("labels.none = x"), IsEmpty());
  EXPECT_THAT(List("labels.team = blue AND state = QUEUED"), IsEmpty());
}

TEST_F(CatalogueListTest, OrdersByEveryField) {
  for (const auto& [id, priority, updated] :
       std::vector<std::tuple<std::string, int, int>>{{"a", 1, 30}, {"b", 3, 10}, {"c", 2, 20}}) {
    v1::Job job = MakeJob(id, 100);
    job.set_priority(priority);
    job.mutable_update_time()->set_seconds(updated);
    ASSERT_THAT(Insert(catalogue(), job), IsOk());
  }
  EXPECT_THAT(List("", "create_time"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(List("", "create_time desc"), ElementsAre("c", "b", "a"));
  EXPECT_THAT(List("", "priority"), ElementsAre("a", "c", "b"));
  EXPECT_THAT(List("", "  priority   desc "), ElementsAre("b", "c", "a"));
  EXPECT_THAT(List("", "update_time"), ElementsAre("b", "c", "a"));
}

TEST_F(CatalogueListTest, PagesHoldEveryJobOnceInEveryOrder) {
  InsertMany(100);
  for (const std::string order : {"", "create_time", "priority", "priority desc", "update_time"}) {
    for (const int32_t page_size : {1, 7, 99, 100, 101}) {
      std::vector<std::string> seen;
      JobQuery query{.project = "p", .order_by = order, .page_size = page_size};
      do {
        const auto page = catalogue().ListJobs(query);
        ASSERT_THAT(page.status(), IsOk());
        EXPECT_LE(page->jobs.size(), static_cast<size_t>(page_size));
        EXPECT_FALSE(page->jobs.empty());
        for (const std::string& name : NamesOf(page->jobs)) seen.push_back(name);
        query.page_token = page->next_page_token;
      } while (!query.page_token.empty());
      EXPECT_THAT(seen, SizeIs(100)) << order;
      EXPECT_THAT(std::set<std::string>(seen.begin(), seen.end()), SizeIs(100)) << order;
    }
  }
}

TEST_F(CatalogueListTest, PagesAreStableUnderInsertsAndDeletes) {
  InsertMany(60);
  std::mt19937 random(3);
  std::set<std::string> deleted;
  std::vector<std::string> seen;
  JobQuery query{.project = "p", .page_size = 5};
  int added = 0;
  do {
    const auto page = catalogue().ListJobs(query);
    ASSERT_THAT(page.status(), IsOk());
    for (const std::string& name : NamesOf(page->jobs)) seen.push_back(name);
    query.page_token = page->next_page_token;
    // Newer and older jobs come, and some go, the last of the page seen among them.
    ASSERT_THAT(Insert(catalogue(), MakeJob(absl::StrCat("new", ++added), 5000)), IsOk());
    const std::string victims[] = {absl::StrCat("j", random() % 60), seen.back()};
    for (const std::string& victim : victims) {
      if (!deleted.insert(victim).second) continue;
      ASSERT_THAT(catalogue().WriteAndWait([&](CatalogueTransaction& transaction) {
        return transaction.DeleteJob(Name(victim));
      }),
                  IsOk());
    }
  } while (!query.page_token.empty());
  const std::set<std::string> unique(seen.begin(), seen.end());
  EXPECT_EQ(unique.size(), seen.size());
  for (int i = 0; i < 60; ++i) {
    const std::string id = absl::StrCat("j", i);
    EXPECT_TRUE(deleted.contains(id) || unique.contains(id)) << id;
  }
}

TEST_F(CatalogueListTest, TokensBelongToTheirQuery) {
  InsertMany(10);
  const JobQuery query{.project = "p", .page_size = 3};
  const std::string token = catalogue().ListJobs(query)->next_page_token;
  ASSERT_NE(token, "");
  JobQuery again = query;
  again.page_token = token;
  again.page_size = 4;  // the page size may change
  EXPECT_THAT(catalogue().ListJobs(again).status(), IsOk());
  for (const JobQuery& other :
       {JobQuery{.project = "q", .page_token = token},
        JobQuery{.project = "p", .filter = "priority = 1", .page_token = token},
        JobQuery{.project = "p", .order_by = "priority", .page_token = token}}) {
    EXPECT_THAT(catalogue().ListJobs(other).status(), Violates("page_token", "is not a token"));
  }
  EXPECT_THAT(catalogue().ListMetrics({.job = Name("j1"), .page_token = token}).status(),
              Violates("page_token", "is not a token"));
  EXPECT_THAT(catalogue().ListModels("p", token, 0).status(),
              Violates("page_token", "is not a token"));
  store_.Reopen();
  EXPECT_THAT(catalogue().ListJobs(again).status(), IsOk()) << "tokens outlive a restart";
  TempStore other_store;
  EXPECT_THAT(other_store.catalogue().ListJobs(again).status(),
              Violates("page_token", "is not a token"));
}

TEST_F(CatalogueListTest, NamesAllThatIsWrongAtOnce) {
  const absl::Status status = catalogue()
                                  .ListJobs({.project = "p",
                                             .filter = "colour = red",
                                             .order_by = "name",
                                             .page_token = "!",
                                             .page_size = -1})
                                  .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  std::vector<std::string> fields;
  for (const FieldViolation& violation : ViolationsOf(status)) fields.push_back(violation.field);
  EXPECT_THAT(fields, ElementsAre("page_size", "filter", "order_by", "page_token"));
  for (const std::string order :
       {"priority asc", "priority desc desc", "state", "priority,state"}) {
    EXPECT_THAT(catalogue().ListJobs({.project = "p", .order_by = order}).status(),
                Violates("order_by", "must be create_time, update_time or priority"));
  }
}

TEST_F(CatalogueListTest, PageSizesHaveADefaultAndACap) {
  InsertMany(1100);
  EXPECT_THAT(catalogue().ListJobs({.project = "p", .page_size = 0})->jobs, SizeIs(50));
  EXPECT_THAT(catalogue().ListJobs({.project = "p", .page_size = 100'000})->jobs, SizeIs(1000));
}

TEST_F(CatalogueListTest, PagesOfLargeJobsFitIntoAMessage) {
  for (int i = 0; i < 10; ++i) {
    v1::Job job = MakeJob(absl::StrCat("j", i));
    job.set_algorithm(std::string(700'000, 'x'));
    ASSERT_THAT(Insert(catalogue(), job), IsOk());
  }
  const auto page = catalogue().ListJobs({.project = "p"});
  ASSERT_THAT(page.status(), IsOk());
  EXPECT_THAT(page->jobs, SizeIs(4));
  EXPECT_NE(page->next_page_token, "");
}

}  // namespace
}  // namespace trainyard
