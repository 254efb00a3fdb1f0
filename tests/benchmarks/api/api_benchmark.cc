// Speed of the API, client and server in one process over loopback, each figure beside its floor.
#include <benchmark/benchmark.h>
#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/base/sha256.h"
#include "server/telemetry/log.h"
#include "tests/benchmarks/api/floor_server.h"
#include "tests/server/api/worker_player.h"

namespace trainyard {
namespace {

using Clock = std::chrono::steady_clock;

double Seconds(Clock::time_point since) {
  return std::chrono::duration<double>(Clock::now() - since).count();
}

void Require(const grpc::Status& status) {
  if (status.ok()) return;
  std::cerr << status.error_message() << std::endl;
  std::abort();
}

// Calls `call` once per iteration and adds the percentiles of its time.
template <class Function>
void MeasureCalls(benchmark::State& state, const Function& call) {
  std::vector<double> times;
  for (auto _ : state) {
    const auto start = Clock::now();
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
    const auto start = Clock::now();
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

FloorServer& Floor() {
  static FloorServer& floor = *new FloorServer();
  return floor;
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

void BM_Floor_SqliteFullCommits(benchmark::State& state) {
  TempFolder folder;
  sqlite3* database = nullptr;
  sqlite3_open((folder.path() / "floor.db").c_str(), &database);
  const auto run = [&](const char* sql) {
    if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) != SQLITE_OK) std::abort();
  };
  run("PRAGMA journal_mode=WAL");
  run("PRAGMA synchronous=FULL");
  run("CREATE TABLE jobs (id INTEGER PRIMARY KEY, body BLOB)");
  for (auto _ : state) run("INSERT INTO jobs (body) VALUES (zeroblob(400))");
  state.SetItemsProcessed(state.iterations());
  sqlite3_close(database);
}
BENCHMARK(BM_Floor_SqliteFullCommits)->UseRealTime();

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

// --- Watched events beside a bare stream of the same events, one a message.

constexpr int64_t kEvents = 20'000;
constexpr char kAttempt[] = "projects/default/jobs/busy/attempts/1";

// A running job whose worker is this process.
class RunningJob {
 public:
  RunningJob() : worker_(server_) {
    const auto stub = server_.jobs();
    v1::Job job;
    Require(Call(*stub, &v1::JobService::Stub::CreateJob, DiagnosticRequest("busy"), job));
    worker_.Hello(kAttempt, server_.executor().WaitForLaunch(kAttempt).token);
    worker_.Read();
  }
  void Publish(int count) {
    std::vector<v1::JobEvent> events(static_cast<size_t>(count), MetricEvent("loss", 1, 0.5));
    worker_.SendEvents(next_, events);
    next_ += count;
  }
  int64_t newest() {
    return server_.manager().Get(*JobName::Parse("projects/default/jobs/busy"))->newest_sequence();
  }
  TestServer& server() { return server_; }

  // Reads from `from` up to `to`; how many events came.
  int64_t Watch(int64_t from, int64_t to, grpc::ClientContext& context) {
    const auto stub = server_.jobs();
    v1::WatchJobRequest request;
    request.set_name("projects/default/jobs/busy");
    request.set_from_sequence(from);
    const auto reader = stub->WatchJob(&context, request);
    v1::WatchJobResponse response;
    int64_t events = 0;
    while (reader->Read(&response)) {
      events += response.events_size();
      if (response.newest_sequence() >= to && events > 0 &&
          response.events(response.events_size() - 1).sequence() >= to) {
        break;
      }
    }
    context.TryCancel();
    (void)reader->Finish();
    return events;
  }

 private:
  TestServer server_;
  WorkerPlayer worker_;
  int64_t next_ = 1;
};

void BM_Floor_BareStream(benchmark::State& state) {
  const auto stub = v1::JobService::NewStub(Floor().channel());
  for (auto _ : state) {
    grpc::ClientContext context;
    v1::WatchJobRequest request;
    request.set_from_sequence(kEvents);
    const auto reader = stub->WatchJob(&context, request);
    v1::WatchJobResponse response;
    while (reader->Read(&response)) {
    }
    Require(reader->Finish());
  }
  state.SetItemsProcessed(state.iterations() * kEvents);
}
BENCHMARK(BM_Floor_BareStream)->UseRealTime()->Unit(benchmark::kMillisecond);

void BM_WatchReplay(benchmark::State& state) {
  RunningJob job;
  for (int64_t sent = 0; sent < kEvents; sent += 500) job.Publish(500);
  const int64_t newest = job.newest();
  int64_t events = 0;
  for (auto _ : state) {
    grpc::ClientContext context;
    events += job.Watch(1, newest, context);
  }
  state.SetItemsProcessed(events);
}
BENCHMARK(BM_WatchReplay)->UseRealTime()->Unit(benchmark::kMillisecond);

// Time of the publisher to have 5000 events acknowledged while so many readers watch live.
void BM_PublishWithReaders(benchmark::State& state) {
  RunningJob job;
  const auto readers = static_cast<size_t>(state.range(0));
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < readers; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    threads.emplace_back(
        [&job, &context = *contexts.back()] { job.Watch(1, int64_t{1} << 60, context); });
  }
  for (auto _ : state) {
    for (int i = 0; i < 10; ++i) job.Publish(500);
  }
  state.SetItemsProcessed(state.iterations() * 5000);
  for (const auto& context : contexts) context->TryCancel();
  for (std::thread& thread : threads) thread.join();
}
BENCHMARK(BM_PublishWithReaders)
    ->Arg(0)
    ->Arg(1)
    ->Arg(100)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// --- Upload beside a bare client stream of the same messages.

constexpr int64_t kUploadBytes = int64_t{1} << 30;
constexpr size_t kPieceBytes = 512 << 10;

// Sends `bytes` in all, the same piece again and again; `piece` is a whole number of rows.
grpc::Status SendFile(v1::DatasetService::Stub& stub, const std::string& sha256,
                      const v1::FileChunk& piece, const std::string& id) {
  grpc::ClientContext context;
  v1::Dataset dataset;
  const auto writer = stub.UploadDataset(&context, &dataset);
  v1::UploadDatasetRequest message;
  v1::UploadDatasetHeader& header = *message.mutable_header();
  header = HeaderOf(id, "");
  header.set_size_bytes(kUploadBytes);
  header.set_sha256(sha256);
  bool sent = writer->Write(message);
  *message.mutable_chunk() = piece;
  for (int64_t offset = 0; sent && offset < kUploadBytes;
       offset += static_cast<int64_t>(kPieceBytes)) {
    message.mutable_chunk()->set_offset(offset);
    sent = writer->Write(message);
  }
  writer->WritesDone();
  return writer->Finish();
}

// A piece of random digits, and the digest of the whole upload.
const v1::FileChunk& Piece() {
  static const auto& piece = *[] {
    std::string text(kPieceBytes, '0');
    for (size_t i = 0; i < text.size(); ++i)
      text[i] = i % 8 == 7 ? '\n' : static_cast<char>('0' + (i * 7919 >> 3) % 10);
    return new v1::FileChunk(ChunkOf(text, 0));
  }();
  return piece;
}
std::string DigestOfUpload() {
  Sha256 digest;
  for (int64_t offset = 0; offset < kUploadBytes; offset += static_cast<int64_t>(kPieceBytes)) {
    digest.Update(Piece().data());
  }
  return digest.HexDigest();
}

// Largest resident memory in MiB since the mark was last reset.
double PeakMemory() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != "VmHWM:") continue;
    double kilobytes = 0;
    status >> kilobytes;
    return kilobytes / 1024;
  }
  return 0;
}
double ResetPeakMemory() {
  std::ofstream("/proc/self/clear_refs") << "5";
  return PeakMemory();
}

void BM_Floor_BareUpload(benchmark::State& state) {
  const auto stub = v1::DatasetService::NewStub(Floor().channel());
  for (auto _ : state) Require(SendFile(*stub, "", Piece(), "floor"));
  state.SetBytesProcessed(state.iterations() * kUploadBytes);
}
BENCHMARK(BM_Floor_BareUpload)->UseRealTime()->Unit(benchmark::kMillisecond)->Iterations(2);

// What the disk itself takes for the bytes: written in the same pieces and fsynced once.
void BM_Floor_WriteAndSync(benchmark::State& state) {
  TempFolder folder;
  for (auto _ : state) {
    auto file = FileSystem::Real().Create(folder.path() / "floor", kUploadBytes).value();
    for (int64_t offset = 0; offset < kUploadBytes; offset += static_cast<int64_t>(kPieceBytes)) {
      if (!file->Append(Piece().data()).ok()) std::abort();
    }
    if (!file->Sync().ok() || !file->Close().ok()) std::abort();
    std::filesystem::remove(folder.path() / "floor");
  }
  state.SetBytesProcessed(state.iterations() * kUploadBytes);
}
BENCHMARK(BM_Floor_WriteAndSync)->UseRealTime()->Unit(benchmark::kMillisecond)->Iterations(2);

void BM_Floor_Sha256(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(DigestOfUpload());
  state.SetBytesProcessed(state.iterations() * kUploadBytes);
}
BENCHMARK(BM_Floor_Sha256)->UseRealTime()->Unit(benchmark::kMillisecond)->Iterations(1);

// Reading the table is left out: it happens in another process.
void BM_Upload(benchmark::State& state) {
  TestServer::Options options;
  options.ingest = [](const std::filesystem::path&, const v1::TableReadOptions&,
                      const std::filesystem::path& cache) -> absl::StatusOr<v1::TableSchema> {
    TableColumn column;
    column.name = "x";
    column.numbers = {1, 2};
    const auto table = MakeTable({column}).value();
    if (absl::Status status = WriteTableCache(*table, cache); !status.ok()) return status;
    return table->schema();
  };
  TestServer server(options);
  const auto stub = server.datasets();
  const std::string sha256 = DigestOfUpload();
  const double before = ResetPeakMemory();
  int upload = 0;
  for (auto _ : state) Require(SendFile(*stub, sha256, Piece(), absl::StrCat("u", upload++)));
  state.SetBytesProcessed(state.iterations() * kUploadBytes);
  state.counters["memory_growth_mib"] = PeakMemory() - before;
}
BENCHMARK(BM_Upload)->UseRealTime()->Unit(benchmark::kMillisecond)->Iterations(2);

}  // namespace
}  // namespace trainyard

int main(int argc, char** argv) {
  trainyard::LogOptions quiet;
  quiet.level = trainyard::LogLevel::kWarning;
  trainyard::ConfigureLog(quiet);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
