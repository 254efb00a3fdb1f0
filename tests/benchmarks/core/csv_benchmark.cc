// Reading tables, beside the floor: touching every byte of the same file once.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>

#include "core/base/crc32c.h"
#include "core/base/random.h"
#include "core/base/sha256.h"
#include "core/data/file_bytes.h"
#include "core/data/table.h"
#include "core/data/value_parsing.h"

namespace trainyard {
namespace {

constexpr int kColumns = 20;

// A folder with generated files, removed at the end of the program.
class Files {
 public:
  Files() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "csv-benchmark-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    // Numbers as measured data has them: 4 to 17 characters.
    WriteCsv(folder_ / "long.csv", 150'000,
             [](Rng& rng) { return FormatNumber(rng.NextDouble()); });
    WriteCsv(folder_ / "short.csv", 600'000, [](Rng& rng) {
      return FormatNumber(static_cast<double>(rng.UniformInt(100'000)) / 100);
    });
    WriteCsv(folder_ / "texts.csv", 300'000,
             [](Rng& rng) { return "level" + std::to_string(rng.UniformInt(1000)); });
    const auto table = ReadTable(folder_ / "short.csv", {}, TableLimits(), 2);
    if (!table.ok() || !WriteTableCache(**table, folder_ / "cache").ok()) std::abort();
  }
  ~Files() { std::filesystem::remove_all(folder_); }
  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }

 private:
  template <typename Cell>
  static void WriteCsv(const std::filesystem::path& file, int rows, const Cell& cell) {
    std::FILE* out = std::fopen(file.c_str(), "w");
    Rng rng(1);
    std::string line;
    for (int c = 0; c < kColumns; ++c) line += (c == 0 ? "c" : ",c") + std::to_string(c);
    for (int r = 0; r <= rows; ++r) {
      line += '\n';
      std::fwrite(line.data(), 1, line.size(), out);
      line.clear();
      for (int c = 0; c < kColumns; ++c) line += (c == 0 ? "" : ",") + cell(rng);
    }
    std::fclose(out);
  }
  std::filesystem::path folder_;
};

const Files& TestFiles() {
  static const Files kFiles;
  return kFiles;
}

void BM_Floor_TouchBytes(benchmark::State& state) {
  const auto file = TestFiles() / "short.csv";
  for (auto _ : state) {
    const auto mapped = MappedFile::Open(file);
    const std::string_view bytes = (*mapped)->bytes();
    uint64_t sum = 0;
    for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
      uint64_t word = 0;
      std::memcpy(&word, bytes.data() + i, 8);
      sum += word;
    }
    benchmark::DoNotOptimize(sum);
  }
  state.SetBytesProcessed(state.iterations() *
                          static_cast<int64_t>(std::filesystem::file_size(file)));
}
BENCHMARK(BM_Floor_TouchBytes)->UseRealTime()->Unit(benchmark::kMillisecond);

void BM_ReadCsv(benchmark::State& state, const char* name) {
  const auto file = TestFiles() / name;
  const int threads = static_cast<int>(state.range(0));
  for (auto _ : state) {
    const auto table = ReadTable(file, {}, TableLimits(), threads);
    if (!table.ok()) std::cerr << table.status() << std::endl;
    benchmark::DoNotOptimize(table);
  }
  state.SetBytesProcessed(state.iterations() *
                          static_cast<int64_t>(std::filesystem::file_size(file)));
}
BENCHMARK_CAPTURE(BM_ReadCsv, ShortNumbers, "short.csv")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_ReadCsv, LongNumbers, "long.csv")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_ReadCsv, Texts, "texts.csv")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void BM_OpenCache(benchmark::State& state) {
  const auto file = TestFiles() / "cache";
  for (auto _ : state) benchmark::DoNotOptimize(OpenTableCache(file));
}
BENCHMARK(BM_OpenCache)->UseRealTime()->Unit(benchmark::kMicrosecond);

void BM_Crc32c(benchmark::State& state) {
  const std::string bytes(1 << 20, 'x');
  for (auto _ : state) benchmark::DoNotOptimize(Crc32c(bytes));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes.size()));
}
BENCHMARK(BM_Crc32c);

void BM_Sha256(benchmark::State& state) {
  const std::string bytes(1 << 20, 'x');
  for (auto _ : state) benchmark::DoNotOptimize(Sha256Hex(bytes));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes.size()));
}
BENCHMARK(BM_Sha256);

}  // namespace
}  // namespace trainyard

BENCHMARK_MAIN();
