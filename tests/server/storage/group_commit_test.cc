// The writer thread: order, groups, many threads, and errors of the disk.
#include <atomic>
#include <fstream>
#include <thread>

#include "core/base/notification.h"
#include "gtest/gtest.h"
#include "server/storage/testing/temp_store.h"
#include "tests/server/storage/storage_test_util.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Returns when the writer thread is at work on a unit that waits for `release`: what is written
// meanwhile becomes one group.
void OccupyWriter(Catalogue& catalogue, Notification& release) {
  Notification started;
  catalogue.Write(
      [&](CatalogueTransaction&) {
        started.Notify();
        release.WaitForNotification();
        return absl::OkStatus();
      },
      [](const absl::Status&) {});
  started.WaitForNotification();
}

TEST(GroupCommitTest, RunsUnitsInOrderAndAnswersEachOnce) {
  TempStore store({.max_group_size = 3});
  Notification release;
  OccupyWriter(store.catalogue(), release);
  std::vector<std::string> log;  // of the writer thread
  BlockingCounter left(4);
  for (const std::string id : {"a", "b", "c", "d"}) {
    store.catalogue().Write(
        [&log, id](CatalogueTransaction& transaction) {
          log.push_back("work " + id);
          if (id == "b") return absl::AbortedError("not b");
          return transaction.InsertJob(MakeJob(id));
        },
        [&log, &left, id](const absl::Status& status) {
          log.push_back(absl::StrCat("done ", id, status.ok() ? "" : " failed"));
          left.DecrementCount();
        });
  }
  release.Notify();
  left.Wait();
  EXPECT_THAT(log, ElementsAre("work a", "work b", "work c", "done a", "done b failed", "done c",
                               "work d", "done d"));
  EXPECT_THAT(NamesOf(store.catalogue().ListJobs({.project = "p"})->jobs),
              ElementsAre("d", "c", "a"));
}

TEST(GroupCommitTest, NothingIsVisibleBeforeItIsCommitted) {
  TempStore store;
  ASSERT_THAT(store.catalogue().WriteAndWait([&](CatalogueTransaction& transaction) {
    EXPECT_THAT(transaction.InsertJob(MakeJob("j")), IsOk());
    EXPECT_THAT(store.catalogue().GetJob(Name("j")).status(),
                FailsWith(absl::StatusCode::kNotFound, ""));
    return absl::OkStatus();
  }),
              IsOk());
  EXPECT_THAT(store.catalogue().GetJob(Name("j")).status(), IsOk());
}

TEST(GroupCommitTest, ClosingRunsWhatWaits) {
  TempStore store;
  std::atomic<int> done = 0;
  for (int i = 0; i < 100; ++i) {
    store.catalogue().Write(
        [i](CatalogueTransaction& transaction) {
          return transaction.InsertJob(MakeJob(absl::StrCat("j", i)));
        },
        [&](const absl::Status& status) { done += status.ok(); });
  }
  store.Reopen();
  EXPECT_EQ(done, 100);
  EXPECT_THAT(store.catalogue().ListJobs({.project = "p", .page_size = 1000})->jobs,
              testing::SizeIs(100));
}

TEST(GroupCommitTest, ThirtyTwoThreadsWriteWhileOthersRead) {
  constexpr int kThreads = 32;
  constexpr int kJobs = 20;
  TempStore store;
  std::vector<std::thread> threads;
  std::atomic<int> failures = 0;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kJobs; ++i) {
        const std::string id = absl::StrCat("t", t, "-", i);
        failures += !Insert(store.catalogue(), MakeJob(id, i)).ok();
        failures += !Append(store.catalogue(), Name(id), {MakeMetric(1, "loss", i, t)}).ok();
        failures += !store.catalogue().GetJob(Name(id)).ok();
        failures += store.catalogue().ReadEvents(Name(id), 1, 10, 1000)->size() != 1;
        failures += !store.catalogue().ListJobs({.project = "p", .page_size = 5}).ok();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_THAT(store.catalogue().ListJobs({.project = "p", .page_size = 1000})->jobs,
              testing::SizeIs(kThreads * kJobs));
  EXPECT_THAT(*store.catalogue().IntegrityProblems(), IsEmpty());
}

TEST(GroupCommitTest, AFullDiskIsAnErrorAndWhatWasThereStays) {
  TempStore store({.max_pages = 120});
  v1::Job large = MakeJob("large");
  large.set_algorithm(std::string(40'000, 'x'));
  std::vector<std::string> stored;
  absl::Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) {
    const std::string id = absl::StrCat("j", i);
    large.set_name(Name(id).ToString());
    status = Insert(store.catalogue(), large);
    if (status.ok()) stored.push_back(id);
  }
  EXPECT_THAT(status, FailsWith(absl::StatusCode::kResourceExhausted, "full"));
  ASSERT_FALSE(stored.empty());
  for (const std::string& id : stored) {
    EXPECT_THAT(store.catalogue().GetJob(Name(id)).status(), IsOk()) << id;
  }
  EXPECT_THAT(*store.catalogue().IntegrityProblems(), IsEmpty());
  // With room again, everything goes on.
  ASSERT_THAT(store.catalogue().WriteAndWait([&](CatalogueTransaction& transaction) {
    return transaction.DeleteJob(Name(stored[0]));
  }),
              IsOk());
  EXPECT_THAT(Insert(store.catalogue(), MakeJob("small")), IsOk());
}

TEST(GroupCommitTest, AUnitThatFillsTheDiskTakesNoLaterOneWithIt) {
  TempStore store({.max_pages = 120});
  Notification release;
  OccupyWriter(store.catalogue(), release);
  std::vector<absl::StatusCode> codes;
  BlockingCounter left(3);
  for (const auto& [id, bytes] : std::vector<std::pair<std::string, size_t>>{
           {"before", 10}, {"huge", 10'000'000}, {"after", 10}}) {
    store.catalogue().Write(
        [id = id, bytes = bytes](CatalogueTransaction& transaction) {
          v1::Job job = MakeJob(id);
          job.set_algorithm(std::string(bytes, 'x'));
          return transaction.InsertJob(job);
        },
        [&](const absl::Status& status) {
          codes.push_back(status.code());
          left.DecrementCount();
        });
  }
  release.Notify();
  left.Wait();
  // SQLite may give up the open transaction, and with it the unit before; answers stay true.
  EXPECT_EQ(store.catalogue().GetJob(Name("before")).ok(), codes[0] == absl::StatusCode::kOk);
  EXPECT_EQ(codes[1], absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(codes[2], absl::StatusCode::kOk);
  EXPECT_THAT(store.catalogue().GetJob(Name("after")).status(), IsOk());
}

TEST(GroupCommitTest, DamagedPagesAreReportedAsDataLoss) {
  TempStore store;
  for (int i = 0; i < 200; ++i) {
    v1::Job job = MakeJob(absl::StrCat("j", i));
    job.set_display_name(std::string(150, 'x'));
    ASSERT_THAT(Insert(store.catalogue(), job), IsOk());
  }
  store.Close();
  {
    // Overwrites all pages from the middle on; the schema and some jobs stay.
    std::fstream file(store.catalogue_file(), std::ios::in | std::ios::out | std::ios::binary);
    const auto size = static_cast<int64_t>(std::filesystem::file_size(store.catalogue_file()));
    for (int64_t page = size / 4096 / 2; page < size / 4096; ++page) {
      file.seekp(page * 4096);
      file.write(std::string(512, '\xa5').data(), 512);
    }
  }
  auto catalogue = Catalogue::Open({.file = store.catalogue_file()});
  if (!catalogue.ok()) {
    EXPECT_EQ(catalogue.status().code(), absl::StatusCode::kDataLoss);
    return;
  }
  int lost = 0;
  for (int i = 0; i < 200; ++i) {
    const absl::Status read = (*catalogue)->GetJob(Name(absl::StrCat("j", i))).status();
    lost += absl::IsDataLoss(read);
  }
  EXPECT_GT(lost, 0);
  const auto problems = (*catalogue)->IntegrityProblems();
  ASSERT_THAT(problems.status(), IsOk());
  EXPECT_THAT(*problems, testing::Not(IsEmpty()));
}

}  // namespace
}  // namespace trainyard
