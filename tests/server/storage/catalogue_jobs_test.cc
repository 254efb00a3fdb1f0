#include <map>

#include "gtest/gtest.h"
#include "server/storage/sqlite.h"
#include "server/storage/testing/temp_store.h"
#include "tests/server/storage/storage_test_util.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CatalogueJobsTest : public testing::Test {
 protected:
  Catalogue& catalogue() { return store_.catalogue(); }
  absl::Status Write(const Catalogue::Work& work) { return catalogue().WriteAndWait(work); }
  absl::Status Update(const v1::Job& job) {
    return Write([&](CatalogueTransaction& transaction) { return transaction.UpdateJob(job); });
  }
  absl::Status Delete(const JobName& name) {
    return Write([&](CatalogueTransaction& transaction) { return transaction.DeleteJob(name); });
  }

  TempStore store_;
};

// A job in which every part is filled.
v1::Job FullJob(std::string_view id) {
  v1::Job job = MakeJob(id);
  job.set_display_name("a name");
  (*job.mutable_labels())["team"] = "blue";
  job.set_priority(7);
  job.mutable_resources()->set_cpu_threads(2);
  job.mutable_time_limit()->set_seconds(60);
  job.set_max_attempts(2);
  job.set_state(v1::Job::STATE_FAILED);
  job.mutable_error()->set_message("went wrong");
  job.add_attempts()->set_stderr_tail("tail 1");
  job.add_attempts()->set_stderr_tail("tail 2");
  job.mutable_progress()->set_fraction(0.5);
  (*job.mutable_latest_metrics())["loss"] = 0.25;
  (*job.mutable_report()->mutable_train_metrics())["accuracy"] = 0.75;
  job.set_newest_sequence(12);
  return job;
}

TEST_F(CatalogueJobsTest, KeepsEveryPartOfAJob) {
  const v1::Job job = FullJob("j");
  ASSERT_THAT(Insert(catalogue(), job), IsOk());
  EXPECT_THAT(catalogue().GetJob(Name("j")).value(), EqualsProto(job));
  store_.Reopen();
  EXPECT_THAT(catalogue().GetJob(Name("j")).value(), EqualsProto(job));
}

TEST_F(CatalogueJobsTest, QueuePositionIsNotStored) {
  v1::Job job = MakeJob("j");
  job.set_queue_position(5);
  ASSERT_THAT(Insert(catalogue(), job), IsOk());
  EXPECT_EQ(catalogue().GetJob(Name("j"))->queue_position(), 0);
}

TEST_F(CatalogueJobsTest, UpdateReplacesEveryPart) {
  ASSERT_THAT(Insert(catalogue(), FullJob("j")), IsOk());
  v1::Job changed = MakeJob("j", 2000);
  changed.set_display_name("other");
  (*changed.mutable_labels())["team"] = "red";
  ASSERT_THAT(Update(changed), IsOk());
  EXPECT_THAT(catalogue().GetJob(Name("j")).value(), EqualsProto(changed));
  EXPECT_THAT(catalogue().ListJobs({.project = "p", .filter = "labels.team = blue"})->jobs,
              IsEmpty());
  EXPECT_THAT(catalogue().ListJobs({.project = "p", .filter = "labels.team = red"})->jobs,
              SizeIs(1));
  const v1::Job full = FullJob("j");
  ASSERT_THAT(Update(full), IsOk());
  EXPECT_THAT(catalogue().GetJob(Name("j")).value(), EqualsProto(full));
}

TEST_F(CatalogueJobsTest, NamesWhatIsTakenOrMissing) {
  ASSERT_THAT(Insert(catalogue(), MakeJob("j")), IsOk());
  EXPECT_THAT(Insert(catalogue(), MakeJob("j")),
              FailsWith(absl::StatusCode::kAlreadyExists, "job 'projects/p/jobs/j' exists"));
  EXPECT_THAT(Insert(catalogue(), MakeJob("j", 1000, "q")), IsOk());
  EXPECT_THAT(Update(MakeJob("k")), FailsWith(absl::StatusCode::kNotFound, "projects/p/jobs/k"));
  EXPECT_THAT(Delete(Name("k")), FailsWith(absl::StatusCode::kNotFound, "projects/p/jobs/k"));
  EXPECT_THAT(catalogue().GetJob(Name("k")).status(),
              FailsWith(absl::StatusCode::kNotFound, "job 'projects/p/jobs/k' does not exist"));
  v1::Job nameless = MakeJob("j");
  nameless.set_name("jobs/j");
  EXPECT_THAT(Insert(catalogue(), nameless),
              FailsWith(absl::StatusCode::kInvalidArgument, "jobs/j"));
}

TEST_F(CatalogueJobsTest, AUnitIsKeptWholeOrNotAtAll) {
  EXPECT_THAT(Write([](CatalogueTransaction& transaction) {
                EXPECT_THAT(transaction.InsertJob(MakeJob("a")), IsOk());
                EXPECT_THAT(transaction.GetJob(Name("a")).status(), IsOk());
                return absl::CancelledError("changed my mind");
              }),
              FailsWith(absl::StatusCode::kCancelled, "changed my mind"));
  EXPECT_THAT(catalogue().GetJob(Name("a")).status(), FailsWith(absl::StatusCode::kNotFound, ""));
}

TEST_F(CatalogueJobsTest, RequestsAreFoundWithTheirContent) {
  ASSERT_THAT(Write([](CatalogueTransaction& transaction) -> absl::Status {
                EXPECT_EQ(transaction.FindRequest("p", "r")->has_value(), false);
                EXPECT_THAT(transaction.InsertJob(MakeJob("j")), IsOk());
                EXPECT_THAT(transaction.InsertJob(MakeJob("k")), IsOk());
                return transaction.PutRequest("p", "r", {Name("j"), "hash"});
              }),
              IsOk());
  EXPECT_THAT(Write([](CatalogueTransaction& transaction) {
                const auto found = transaction.FindRequest("p", "r");
                EXPECT_EQ((*found)->job.ToString(), "projects/p/jobs/j");
                EXPECT_EQ((*found)->content_sha256, "hash");
                EXPECT_FALSE(transaction.FindRequest("q", "r")->has_value());
                return transaction.PutRequest("p", "r", {Name("k"), "hash"});
              }),
              FailsWith(absl::StatusCode::kAlreadyExists, "request id 'r'"));
  ASSERT_THAT(Delete(Name("j")), IsOk());
  EXPECT_THAT(Write([](CatalogueTransaction& transaction) {
                EXPECT_FALSE(transaction.FindRequest("p", "r")->has_value());
                return transaction.PutRequest("p", "r", {Name("j"), "hash"});
              }),
              FailsWith(absl::StatusCode::kNotFound, "projects/p/jobs/j"));
}

TEST_F(CatalogueJobsTest, VisitsUnfinishedJobsOldestFirstWithTheirOpenAttempts) {
  ASSERT_THAT(Write([](CatalogueTransaction& transaction) -> absl::Status {
                const std::map<std::string, std::pair<v1::Job::State, int64_t>> jobs = {
                    {"queued", {v1::Job::STATE_QUEUED, 30}},
                    {"starting", {v1::Job::STATE_STARTING, 20}},
                    {"running", {v1::Job::STATE_RUNNING, 10}},
                    {"cancelling", {v1::Job::STATE_CANCELLING, 40}},
                    {"succeeded", {v1::Job::STATE_SUCCEEDED, 1}},
                    {"failed", {v1::Job::STATE_FAILED, 2}},
                    {"cancelled", {v1::Job::STATE_CANCELLED, 3}}};
                for (const auto& [id, state] : jobs) {
                  v1::Job job = MakeJob(id, state.second);
                  job.set_state(state.first);
                  EXPECT_THAT(transaction.InsertJob(job), IsOk());
                }
                for (int32_t attempt = 1; attempt <= 3; ++attempt) {
                  EXPECT_THAT(transaction.PutAttempt({.name = {Name("running"), attempt},
                                                      .token_sha256 = "t",
                                                      .session_key_sha256 = "s",
                                                      .worker_sequence = 9,
                                                      .executor = "local",
                                                      .process = "pid 1",
                                                      .ended = attempt == 1}),
                              IsOk());
                }
                // Replaced: only what was written last counts.
                return transaction.PutAttempt({.name = {Name("running"), 2}, .ended = true});
              }),
              IsOk());
  std::vector<std::string> visited;
  ASSERT_THAT(catalogue().ForEachUnfinishedJob(
                  [&](const v1::Job& job, const std::vector<AttemptRecord>& attempts) {
                    visited.push_back(absl::StrCat(job.name().substr(16), ":", attempts.size()));
                    if (attempts.empty()) return;
                    EXPECT_EQ(attempts[0].name.ToString(), "projects/p/jobs/running/attempts/3");
                    EXPECT_EQ(attempts[0].token_sha256, "t");
                    EXPECT_EQ(attempts[0].session_key_sha256, "s");
                    EXPECT_EQ(attempts[0].worker_sequence, 9);
                    EXPECT_EQ(attempts[0].executor, "local");
                    EXPECT_EQ(attempts[0].process, "pid 1");
                  }),
              IsOk());
  EXPECT_THAT(visited, ElementsAre("running:1", "starting:0", "queued:0", "cancelling:0"));
}

TEST_F(CatalogueJobsTest, CheckpointIsTheOneWrittenLast) {
  ASSERT_THAT(Insert(catalogue(), MakeJob("j")), IsOk());
  EXPECT_EQ(*catalogue().CheckpointOf(Name("j")), std::nullopt);
  for (const std::string sha256 : {"aa", "bb"}) {
    ASSERT_THAT(Write([&](CatalogueTransaction& transaction) {
                  return transaction.PutCheckpoint(Name("j"), 5, sha256, 100);
                }),
                IsOk());
  }
  EXPECT_EQ(*catalogue().CheckpointOf(Name("j")), "bb");
  EXPECT_THAT(catalogue().CheckpointOf(Name("k")).status(),
              FailsWith(absl::StatusCode::kNotFound, "projects/p/jobs/k"));
  EXPECT_THAT(Write([](CatalogueTransaction& transaction) {
                return transaction.PutCheckpoint(Name("k"), 5, "cc", 100);
              }),
              FailsWith(absl::StatusCode::kNotFound, "projects/p/jobs/k"));
}

TEST_F(CatalogueJobsTest, DeletingAJobLeavesNoRow) {
  ASSERT_THAT(Insert(catalogue(), FullJob("j")), IsOk());
  ASSERT_THAT(Append(catalogue(), Name("j"), {MakeLog(1), MakeMetric(2, "loss", 1, 0.5)}), IsOk());
  ASSERT_THAT(Write([](CatalogueTransaction& transaction) -> absl::Status {
                EXPECT_THAT(transaction.PutAttempt({.name = {Name("j"), 1}}), IsOk());
                EXPECT_THAT(transaction.PutCheckpoint(Name("j"), 1, "aa", 1), IsOk());
                return transaction.PutRequest("p", "r", {Name("j"), "hash"});
              }),
              IsOk());
  ASSERT_THAT(Delete(Name("j")), IsOk());
  EXPECT_THAT(*catalogue().BlobReferences(), IsEmpty());
  store_.Close();
  auto database = Database::Open(store_.catalogue_file(), Database::Mode::kReadOnly);
  for (const std::string table :
       {"jobs", "job_definitions", "job_histories", "job_reports", "job_labels", "job_datasets",
        "attempts", "event_segments", "metric_series", "metric_points", "checkpoints", "purges"}) {
    EXPECT_EQ((*database)->QueryInt("SELECT count(*) FROM " + table).value(), 0) << table;
  }
}

TEST_F(CatalogueJobsTest, EventsOfAHugeDeletedJobGoInPieces) {
  ASSERT_THAT(Insert(catalogue(), MakeJob("huge")), IsOk());
  std::vector<v1::JobEvent> events;
  for (int i = 1; i <= 9000; ++i) events.push_back(MakeMetric(i, "loss", i, i));
  ASSERT_THAT(Append(catalogue(), Name("huge"), events), IsOk());
  ASSERT_THAT(Delete(Name("huge")), IsOk());
  // A job of the same name begins anew while the old rows are still there.
  ASSERT_THAT(Insert(catalogue(), MakeJob("huge")), IsOk());
  EXPECT_THAT(*catalogue().ReadEvents(Name("huge"), 1, 10, 1000), IsEmpty());
  EXPECT_THAT(catalogue().ListMetrics({.job = Name("huge")})->points, IsEmpty());
  ASSERT_THAT(Append(catalogue(), Name("huge"), {MakeLog(1)}), IsOk());
  EXPECT_THAT(*catalogue().IntegrityProblems(), IsEmpty());
  // The writer purges whenever it has nothing else to do.
  int64_t left = 1;
  for (int i = 0; i < 1000 && left > 0; ++i) {
    ASSERT_THAT(Update(MakeJob("huge", i)), IsOk());
    auto database = Database::Open(store_.catalogue_file(), Database::Mode::kReadOnly);
    left = (*database)->QueryInt("SELECT count(*) FROM metric_points").value() +
           (*database)->QueryInt("SELECT count(*) FROM purges").value();
  }
  EXPECT_EQ(left, 0);
  EXPECT_THAT(*catalogue().ReadEvents(Name("huge"), 1, 10, 1000), SizeIs(1));
}

}  // namespace
}  // namespace trainyard
