// Upload beside a bare client stream of the same messages and beside each of its steps.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/base/file_system.h"
#include "core/base/sha256.h"
#include "tests/benchmarks/api/child_process.h"
#include "tests/benchmarks/api/measure.h"
#include "tests/server/api/test_server.h"

namespace trainyard {
namespace {

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

std::unique_ptr<v1::DatasetService::Stub> StubOf(const ChildProcess& server) {
  return v1::DatasetService::NewStub(
      grpc::CreateChannel(server.address(), grpc::InsecureChannelCredentials()));
}

void BM_Floor_BareUpload(benchmark::State& state) {
  const ChildProcess server({"floor-server"});
  const auto stub = StubOf(server);
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

void BM_Floor_Crc32c(benchmark::State& state) {
  for (auto _ : state) {
    for (int64_t offset = 0; offset < kUploadBytes; offset += static_cast<int64_t>(kPieceBytes)) {
      benchmark::DoNotOptimize(Crc32c(Piece().data()));
    }
  }
  state.SetBytesProcessed(state.iterations() * kUploadBytes);
}
BENCHMARK(BM_Floor_Crc32c)->UseRealTime()->Unit(benchmark::kMillisecond)->Iterations(1);

// The memory is the server's alone. The client has its checksums made beforehand.
void BM_Upload(benchmark::State& state) {
  const ChildProcess server({"upload-server"});
  const auto stub = StubOf(server);
  const std::string sha256 = DigestOfUpload();
  server.ResetPeakMemory();
  const double before = server.PeakMemory();
  int upload = 0;
  for (auto _ : state) Require(SendFile(*stub, sha256, Piece(), absl::StrCat("u", upload++)));
  state.SetBytesProcessed(state.iterations() * kUploadBytes);
  state.counters["memory_growth_mib"] = server.PeakMemory() - before;
}
BENCHMARK(BM_Upload)->UseRealTime()->Unit(benchmark::kMillisecond)->Iterations(2);

}  // namespace
}  // namespace trainyard
