// Feeds arbitrary bytes to every reader of tables and to the columnar cache. The first byte chooses
// the reader and its options; the rest is the file.
#include <google/protobuf/stubs/logging.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/base/crc32c.h"
#include "core/data/csv_reader.h"
#include "core/data/file_formats.h"
#include "core/data/table.h"

namespace trainyard {
namespace {

void Check(bool condition) {
  if (!condition) std::abort();
}

// Touches every value.
void Walk(const Table& table) {
  for (int c = 0; c < table.column_count(); ++c) {
    for (int64_t r = 0; r < table.row_count(); ++r) (void)table.TextAt(r, c);
  }
}

TableLimits SmallLimits() {
  TableLimits limits;
  limits.max_columns = 200;
  limits.max_uncompressed_bytes = 1 << 22;
  limits.max_line_bytes = 1 << 12;
  limits.max_levels = 100;
  return limits;
}

v1::TableReadOptions OptionsOf(uint8_t choice) {
  v1::TableReadOptions options;
  if ((choice & 1) != 0) options.set_header((choice & 2) != 0);
  if ((choice & 4) != 0) options.set_delimiter(std::string(1, ",;\t "[choice >> 3 & 3]));
  if ((choice & 32) != 0) (*options.mutable_column_types())["x0"] = v1::COLUMN_TYPE_BOOLEAN;
  return options;
}

// One piece and many, one thread and three: the same table or the same error.
void ReadCsv(std::string_view bytes, const v1::TableReadOptions& options) {
  const TableLimits limits = SmallLimits();
  const auto whole = ParseCsv(bytes, options, limits, 1, 1 << 20);
  const auto pieces = ParseCsv(bytes, options, limits, 3, 8);
  Check(whole.ok() == pieces.ok());
  if (!whole.ok()) {
    Check(whole.status().code() == absl::StatusCode::kInvalidArgument);
    return;
  }
  const Table& a = **whole;
  const Table& b = **pieces;
  Check(a.row_count() == b.row_count() && a.column_count() == b.column_count());
  for (int c = 0; c < a.column_count(); ++c) {
    Check(a.column(c).type() == b.column(c).type());
    for (int64_t r = 0; r < a.row_count(); ++r) Check(a.TextAt(r, c) == b.TextAt(r, c));
  }
}

// The bytes as a cache whose checksums are right, so that what lies behind them is reached.
void OpenCache(std::string bytes) {
  constexpr size_t kHeaderBytes = 32;
  if (bytes.size() < kHeaderBytes) return;
  const auto put = [&](size_t at, auto value) {
    bytes.replace(at, sizeof(value), reinterpret_cast<const char*>(&value), sizeof(value));
  };
  const auto get = [&](size_t at) {
    uint32_t value = 0;
    bytes.copy(reinterpret_cast<char*>(&value), sizeof(value), at);
    return value;
  };
  bytes.replace(0, 8, "TYTABLE1");
  put(8, static_cast<uint64_t>(bytes.size()));
  const uint64_t index_bytes = get(16) + uint64_t{40} * get(20);
  if (index_bytes <= bytes.size() - kHeaderBytes) {
    put(24, Crc32c(std::string_view(bytes).substr(kHeaderBytes, index_bytes)));
  }
  put(28, Crc32c(std::string_view(bytes).substr(0, 28)));
  static const std::filesystem::path kFile =
      std::filesystem::temp_directory_path() / ("table-fuzz-" + std::to_string(getpid()));
  std::FILE* file = std::fopen(kFile.c_str(), "wb");
  Check(file != nullptr);
  std::fwrite(bytes.data(), 1, bytes.size(), file);
  std::fclose(file);
  const auto table = OpenTableCache(kFile);
  if (table.ok()) Walk(**table);
  Check(table.ok() || table.status().code() == absl::StatusCode::kDataLoss);
}

void Run(uint8_t choice, std::string_view bytes) {
  const v1::TableReadOptions options = OptionsOf(choice);
  switch (choice >> 6) {
    case 0:
      return ReadCsv(bytes, options);
    case 1: {
      const auto table = ParseTable(bytes, options, SmallLimits(), 1);
      if (table.ok()) Walk(**table);
      return;
    }
    case 2: {
      const auto table = (choice & 1) != 0 ? ParseNpy(bytes, {}, SmallLimits(), 1)
                                           : ParseLibsvm(bytes, {}, SmallLimits(), 1);
      if (table.ok()) Walk(**table);
      return;
    }
    default:
      return OpenCache(std::string(bytes));
  }
}

}  // namespace
}  // namespace trainyard

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);  // it would tell of every damaged schema
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  trainyard::Run(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
