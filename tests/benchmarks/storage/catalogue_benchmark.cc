// The catalogue beside its floor: the same SQLite, one bare row per commit, WAL and
// synchronous=FULL.
#include <sqlite3.h>

#include <atomic>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "benchmark/benchmark.h"
#include "core/base/notification.h"
#include "server/storage/testing/temp_store.h"

namespace trainyard {
namespace {

v1::Job MakeJob(std::string_view id) {
  v1::Job job;
  job.set_name(JobName{"default", std::string(id)}.ToString());
  job.set_state(v1::Job::STATE_QUEUED);
  job.set_algorithm("hierarchical_shrinkage");
  (*job.mutable_labels())["team"] = "blue";
  auto& spec = *job.mutable_spec()->mutable_hierarchical_shrinkage();
  spec.mutable_input()->set_dataset("projects/default/datasets/compas/versions/1");
  spec.mutable_input()->add_target_columns("is_recid");
  for (int i = 0; i < 9; ++i) spec.add_lambda_grid(i);
  for (int i = 0; i < 20; ++i) spec.mutable_input()->add_feature_columns(absl::StrCat("x", i));
  const int64_t now = absl::ToUnixNanos(absl::Now());
  job.mutable_create_time()->set_seconds(now / 1'000'000'000);
  job.mutable_create_time()->set_nanos(static_cast<int32_t>(now % 1'000'000'000));
  *job.mutable_update_time() = job.create_time();
  job.set_etag("0123456789abcdef");
  return job;
}

v1::JobEvent MakeEvent(int64_t sequence) {
  v1::JobEvent event;
  event.set_sequence(sequence);
  event.mutable_time()->set_seconds(1'700'000'000);
  event.set_attempt(1);
  event.mutable_log()->set_text("epoch 12: loss 0.6931471805599453, accuracy 0.5");
  return event;
}

// What CreateJob commits: the job, its first event, its request id.
Catalogue::Work CreateWork(std::string id) {
  return [job = MakeJob(id), id = std::move(id)](CatalogueTransaction& transaction) {
    const JobName name{"default", id};
    absl::Status status = transaction.InsertJob(job);
    const v1::JobEvent event = MakeEvent(1);
    if (status.ok()) status = transaction.AppendEvents(name, {&event, 1});
    if (status.ok()) status = transaction.PutRequest("default", id, {name, std::string(64, 'a')});
    return status;
  };
}

void FloorSqliteCommit(benchmark::State& state) {
  const TempFolder folder;
  sqlite3* database = nullptr;
  sqlite3_open((folder.path() / "floor.db").c_str(), &database);
  sqlite3_exec(database,
               "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
               "CREATE TABLE t (id INTEGER PRIMARY KEY, bytes BLOB)",
               nullptr, nullptr, nullptr);
  sqlite3_stmt* insert = nullptr;
  sqlite3_prepare_v2(database, "INSERT INTO t (bytes) VALUES (zeroblob(500))", -1, &insert,
                     nullptr);
  for (auto _ : state) {
    if (sqlite3_step(insert) != SQLITE_DONE) state.SkipWithError("insert failed");
    sqlite3_reset(insert);
  }
  sqlite3_finalize(insert);
  sqlite3_close(database);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(FloorSqliteCommit)->UseRealTime()->MinTime(2);

void DurableCreate(benchmark::State& state) {
  static TempStore* store = nullptr;
  if (state.thread_index() == 0) store = new TempStore;
  int64_t number = 0;
  for (auto _ : state) {
    const std::string id = absl::StrCat("t", state.thread_index(), "-", number++);
    if (!store->catalogue().WriteAndWait(CreateWork(id)).ok()) state.SkipWithError("write failed");
  }
  state.SetItemsProcessed(state.iterations());
  if (state.thread_index() == 0) delete store;
}
BENCHMARK(DurableCreate)->Threads(1)->Threads(32)->UseRealTime()->MinTime(2);

// One unit per call of `events` events, at most 1000 units in flight.
void AppendEvents(benchmark::State& state) {
  TempStore store;
  const JobName name{"default", "j"};
  if (!store.catalogue().WriteAndWait(CreateWork("j")).ok()) state.SkipWithError("write failed");
  int64_t next = 2;
  for (auto _ : state) {
    BlockingCounter left(1000);
    for (int unit = 0; unit < 1000; ++unit) {
      std::vector<v1::JobEvent> events;
      for (int i = 0; i < state.range(0); ++i) events.push_back(MakeEvent(next++));
      store.catalogue().Write(
          [&name, events = std::move(events)](CatalogueTransaction& transaction) {
            return transaction.AppendEvents(name, events);
          },
          [&](const absl::Status& status) {
            if (!status.ok()) abort();
            left.DecrementCount();
          });
    }
    left.Wait();
  }
  state.SetItemsProcessed(state.iterations() * 1000 * state.range(0));
}
BENCHMARK(AppendEvents)->Arg(1)->Arg(50)->UseRealTime()->Unit(benchmark::kMillisecond);

void AppendMetricPoints(benchmark::State& state) {
  TempStore store;
  const JobName name{"default", "j"};
  if (!store.catalogue().WriteAndWait(CreateWork("j")).ok()) state.SkipWithError("write failed");
  int64_t next = 2;
  for (auto _ : state) {
    std::vector<v1::JobEvent> events;
    for (int i = 0; i < 1000; ++i) {
      v1::JobEvent& event = events.emplace_back();
      event.set_sequence(next);
      for (const char* metric : {"train/loss", "train/accuracy"}) {
        v1::MetricPoint& point = *event.mutable_metrics()->add_points();
        point.set_name(metric);
        point.set_step(next);
        point.set_value(0.5);
      }
      ++next;
    }
    const absl::Status status = store.catalogue().WriteAndWait(
        [&](CatalogueTransaction& transaction) { return transaction.AppendEvents(name, events); });
    if (!status.ok()) state.SkipWithError("write failed");
  }
  state.SetItemsProcessed(state.iterations() * 2000);
}
BENCHMARK(AppendMetricPoints)->UseRealTime()->Unit(benchmark::kMillisecond);

// A store with 100 000 unfinished jobs, made once.
TempStore& LargeStore() {
  static TempStore* const kStore = [] {
    auto* store = new TempStore;
    constexpr int kJobs = 100'000;
    BlockingCounter left(kJobs);
    for (int i = 0; i < kJobs; ++i) {
      store->catalogue().Write(CreateWork(absl::StrCat("j", i)), [&](const absl::Status& status) {
        if (!status.ok()) abort();
        left.DecrementCount();
      });
    }
    left.Wait();
    return store;
  }();
  return *kStore;
}

void OpenAndVisitUnfinished(benchmark::State& state) {
  TempStore& store = LargeStore();
  int64_t visited = 0;
  for (auto _ : state) {
    store.Reopen();
    const absl::Status status = store.catalogue().ForEachUnfinishedJob(
        [&](const v1::Job&, const std::vector<AttemptRecord>&) { ++visited; });
    if (!status.ok()) state.SkipWithError("read failed");
  }
  state.counters["jobs"] = static_cast<double>(visited / state.iterations());
}
BENCHMARK(OpenAndVisitUnfinished)->UseRealTime()->Iterations(3)->Unit(benchmark::kMillisecond);

void GetJob(benchmark::State& state) {
  TempStore& store = LargeStore();
  int64_t i = 0;
  for (auto _ : state) {
    const JobName name{"default", absl::StrCat("j", i = (i + 7919) % 100'000)};
    if (!store.catalogue().GetJob(name).ok()) state.SkipWithError("read failed");
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(GetJob)->UseRealTime();

void ListJobs(benchmark::State& state, const std::string& filter, const std::string& order_by) {
  TempStore& store = LargeStore();
  for (auto _ : state) {
    const auto page =
        store.catalogue().ListJobs({.project = "default", .filter = filter, .order_by = order_by});
    if (!page.ok()) state.SkipWithError("read failed");
  }
}
BENCHMARK_CAPTURE(ListJobs, newest, "", "")->UseRealTime();
BENCHMARK_CAPTURE(ListJobs, queued, "state = QUEUED", "")->UseRealTime();
BENCHMARK_CAPTURE(ListJobs, running, "state = RUNNING", "")->UseRealTime();
BENCHMARK_CAPTURE(ListJobs, label_absent, "labels.team = red", "")->UseRealTime();
BENCHMARK_CAPTURE(ListJobs, by_priority, "", "priority desc")->UseRealTime();

void ReadEvents(benchmark::State& state) {
  TempStore store;
  const JobName name{"default", "j"};
  std::vector<v1::JobEvent> events;
  for (int i = 0; i < 100'000; ++i) events.push_back(MakeEvent(i + 1));
  const absl::Status status =
      store.catalogue().WriteAndWait([&](CatalogueTransaction& transaction) {
        const absl::Status inserted = transaction.InsertJob(MakeJob("j"));
        return inserted.ok() ? transaction.AppendEvents(name, events) : inserted;
      });
  if (!status.ok()) state.SkipWithError("write failed");
  int64_t read = 0;
  for (auto _ : state) {
    for (int64_t from = 1; from <= 100'000;) {
      const auto batch = store.catalogue().ReadEvents(name, from, 1'000'000, 64 << 10);
      if (!batch.ok() || batch->empty()) return state.SkipWithError("read failed");
      from += static_cast<int64_t>(batch->size());
      read += static_cast<int64_t>(batch->size());
    }
  }
  state.SetItemsProcessed(read);
}
BENCHMARK(ReadEvents)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace trainyard

BENCHMARK_MAIN();
