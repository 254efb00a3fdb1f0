// Speed of calls, client and server in one process over loopback, each figure beside its floor.
#include <benchmark/benchmark.h>
#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/telemetry/log.h"
#include "tests/benchmarks/api/child_process.h"
#include "tests/benchmarks/api/measure.h"
#include "tests/server/api/worker_player.h"

namespace trainyard {
namespace {

// Calls `call` once per iteration and adds the percentiles of its time.
template <class Function>
void MeasureCalls(benchmark::State& state, const Function& call) {
  std::vector<double> times;
  for (auto _ : state) {
    const auto start = SteadyClock::now();
    call();
    times.push_back(Seconds(start) * 1e6);
  }
  std::sort(times.begin(), times.end());
  state.counters["p50_us"] = times[times.size() / 2];
  state.counters["p99_us"] = times[times.size() * 99 / 100];
}

// Calls `call(client)` `total` times from `clients` threads; counts calls a second.
template <class Function>
void MeasureThroughput(benchmark::State& state, int clients, int total, const Function& call) {
  for (auto _ : state) {
    std::atomic<int> next = 0;
    const auto start = SteadyClock::now();
    std::vector<std::thread> threads;
    for (int client = 0; client < clients; ++client) {
      threads.emplace_back([&, client] {
        while (next++ < total) call(client);
      });
    }
    for (std::thread& thread : threads) thread.join();
    state.SetIterationTime(Seconds(start));
  }
  state.SetItemsProcessed(state.iterations() * total);
}

// --- GetJob beside an empty unary call.

void BM_Floor_EmptyUnary(benchmark::State& state) {
  const auto stub = v1::ServerService::NewStub(Floor().channel());
  v1::ServerInfo info;
  MeasureCalls(state, [&] {
    Require(Call(*stub, &v1::ServerService::Stub::GetServerInfo, v1::GetServerInfoRequest(), info));
  });
}
BENCHMARK(BM_Floor_EmptyUnary)->UseRealTime();

void BM_GetJob(benchmark::State& state) {
  TestServer server;
  const auto stub = server.jobs();
  v1::Job job;
  Require(Call(*stub, &v1::JobService::Stub::CreateJob, DiagnosticRequest("job"), job));
  v1::GetJobRequest request;
  request.set_name(job.name());
  MeasureCalls(state, [&] { Require(Call(*stub, &v1::JobService::Stub::GetJob, request, job)); });
}
BENCHMARK(BM_GetJob)->UseRealTime();

void BM_Floor_EmptyUnaryThroughput(benchmark::State& state) {
  const auto stub = v1::ServerService::NewStub(Floor().channel());
  MeasureThroughput(state, 8, 10'000, [&](int) {
    v1::ServerInfo info;
    Require(Call(*stub, &v1::ServerService::Stub::GetServerInfo, v1::GetServerInfoRequest(), info));
  });
}
BENCHMARK(BM_Floor_EmptyUnaryThroughput)->UseManualTime();

void BM_GetJobThroughput(benchmark::State& state) {
  TestServer server;
  const auto stub = server.jobs();
  v1::Job created;
  Require(Call(*stub, &v1::JobService::Stub::CreateJob, DiagnosticRequest("job"), created));
  v1::GetJobRequest request;
  request.set_name(created.name());
  MeasureThroughput(state, 8, 10'000, [&](int) {
    v1::Job job;
    Require(Call(*stub, &v1::JobService::Stub::GetJob, request, job));
  });
}
BENCHMARK(BM_GetJobThroughput)->UseManualTime();

// --- Durable CreateJob beside single commits of SQLite.

// A table whose every row is one commit.
class CommitFloor {
 public:
  CommitFloor() {
    sqlite3_open((folder_.path() / "floor.db").c_str(), &database_);
    Run("PRAGMA journal_mode=WAL");
    Run("PRAGMA synchronous=FULL");
    Run("CREATE TABLE jobs (id INTEGER PRIMARY KEY, body BLOB)");
  }
  ~CommitFloor() { sqlite3_close(database_); }
  void Commit() { Run("INSERT INTO jobs (body) VALUES (zeroblob(400))"); }

 private:
  void Run(const char* sql) {
    if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) std::abort();
  }
  TempFolder folder_;
  sqlite3* database_ = nullptr;
};

void BM_Floor_SqliteFullCommits(benchmark::State& state) {
  CommitFloor floor;
  for (auto _ : state) floor.Commit();
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Floor_SqliteFullCommits)->UseRealTime();

// What a durable answer costs at least: an empty call that makes one commit before it answers.
void BM_Floor_CallWithCommit(benchmark::State& state) {
  CommitFloor floor;
  FloorServer server([&] { floor.Commit(); });
  const auto stub = v1::JobService::NewStub(server.channel());
  MeasureThroughput(state, 1, 300, [&](int) {
    v1::Job job;
    Require(Call(*stub, &v1::JobService::Stub::CreateJob, DiagnosticRequest(""), job));
  });
}
BENCHMARK(BM_Floor_CallWithCommit)->UseManualTime();

void BM_CreateJob(benchmark::State& state) {
  const int clients = static_cast<int>(state.range(0));
  TestServer::Options options;
  options.max_queued_jobs = 10'000'000;
  TestServer server(options);
  const auto stub = server.jobs();
  MeasureThroughput(state, clients, 150 * clients, [&](int) {
    v1::Job job;
    Require(Call(*stub, &v1::JobService::Stub::CreateJob, DiagnosticRequest(""), job));
  });
}
BENCHMARK(BM_CreateJob)->Arg(1)->Arg(32)->UseManualTime();

}  // namespace
}  // namespace trainyard

int main(int argc, char** argv) {
  if (const auto code = trainyard::RunAsChild(argc, argv)) return *code;
  trainyard::LogOptions quiet;
  quiet.level = trainyard::LogLevel::kWarning;
  trainyard::ConfigureLog(quiet);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
