// Storing a data set beside its floor: writing the same bytes in the same way and fsync.
#include <algorithm>
#include <fstream>

#include "benchmark/benchmark.h"
#include "core/base/crc32c.h"
#include "core/base/sha256.h"
#include "server/storage/dataset_store.h"
#include "server/storage/testing/temp_store.h"

namespace trainyard {
namespace {

constexpr int64_t kPieceBytes = 1 << 20;

std::string MakePiece() {
  std::string piece(kPieceBytes, '\0');
  uint32_t value = 1;
  for (char& c : piece) c = static_cast<char>((value = value * 1664525 + 1013904223) >> 24);
  return piece;
}

int64_t ResidentBytes() {
  int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * 4096;
}

void FloorWriteAndSync(benchmark::State& state) {
  const TempFolder folder;
  const std::string piece = MakePiece();
  for (auto _ : state) {
    auto file =
        FileSystem::Real().Create(folder.path() / "file", state.range(0) * kPieceBytes).value();
    for (int64_t i = 0; i < state.range(0); ++i) {
      if (!file->Append(piece).ok()) return state.SkipWithError("write failed");
    }
    if (!file->Sync().ok() || !file->Close().ok()) return state.SkipWithError("sync failed");
    state.PauseTiming();
    std::filesystem::remove(folder.path() / "file");
    state.ResumeTiming();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0) * kPieceBytes);
}
BENCHMARK(FloorWriteAndSync)->Arg(64)->Arg(1024)->UseRealTime()->Unit(benchmark::kMillisecond);

// Append with CRC-32C and SHA-256, then Finish with an ingest that does nothing.
void Upload(benchmark::State& state) {
  TempStore store;
  const auto datasets = DatasetStore::Create(
      {.cache_folder = store.folder() / "caches"}, store.catalogue(), store.blobs(),
      [](const std::filesystem::path&, const v1::TableReadOptions&,
         const std::filesystem::path& cache) -> absl::StatusOr<v1::TableSchema> {
        std::ofstream(cache) << "cache";
        return v1::TableSchema();
      },
      Clock::Real());
  v1::FileChunk chunk;
  *chunk.mutable_data() = MakePiece();
  chunk.set_crc32c(Crc32c(chunk.data()));
  Sha256 hash;
  for (int64_t i = 0; i < state.range(0); ++i) hash.Update(chunk.data());
  v1::UploadDatasetHeader header;
  header.set_parent("projects/default");
  header.set_dataset_id("d");
  header.set_size_bytes(state.range(0) * kPieceBytes);
  header.set_sha256(hash.HexDigest());
  const int64_t before = ResidentBytes();
  int64_t most = before;
  for (auto _ : state) {
    auto upload = datasets->Begin(header);
    if (!upload.ok()) return state.SkipWithError("begin failed");
    for (int64_t i = 0; i < state.range(0); ++i) {
      chunk.set_offset(i * kPieceBytes);
      if (!(*upload)->Append(chunk).ok()) return state.SkipWithError("append failed");
      if (i % 64 == 0) most = std::max(most, ResidentBytes());
    }
    if (!(*upload)->Finish().ok()) return state.SkipWithError("finish failed");
    state.PauseTiming();
    most = std::max(most, ResidentBytes());
    if (!datasets->Delete({"default", "d", 0}, "").ok())
      return state.SkipWithError("delete failed");
    if (!store.blobs().Collect([](std::string_view) { return false; }).ok()) {
      return state.SkipWithError("collect failed");
    }
    state.ResumeTiming();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0) * kPieceBytes);
  state.counters["memory_growth_mib"] = static_cast<double>(most - before) / (1 << 20);
}
BENCHMARK(Upload)->Arg(64)->Arg(1024)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace trainyard

BENCHMARK_MAIN();
