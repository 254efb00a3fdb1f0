// The columnar cache; README.md of this folder describes the format.
#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/base/file_system.h"
#include "core/base/secret.h"
#include "core/base/status.h"
#include "core/data/column_data.h"
#include "core/data/file_bytes.h"
#include "core/data/text_list.h"

namespace trainyard {
namespace {

constexpr char kMagic[8] = {'T', 'Y', 'T', 'A', 'B', 'L', 'E', '1'};
constexpr uint64_t kAlignment = 64;
constexpr size_t kMaxSchemaBytes = std::numeric_limits<int32_t>::max();  // protobuf's limit

struct FileHeader {
  char magic[8];
  uint64_t file_bytes;
  uint32_t schema_bytes;
  uint32_t column_count;
  uint32_t index_crc;   // of schema and section table, which follow this header
  uint32_t header_crc;  // of this header up to here
};
static_assert(sizeof(FileHeader) == 32);

struct Section {
  uint64_t values_offset;
  uint64_t values_bytes;
  uint64_t levels_offset;  // categorical columns only, else 0
  uint64_t levels_bytes;
  uint32_t values_crc;
  uint32_t levels_crc;
};
static_assert(sizeof(Section) == 40);

template <typename T>
std::string_view BytesOf(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

uint64_t Align(uint64_t offset) { return (offset + kAlignment - 1) / kAlignment * kAlignment; }

std::string_view ValuesOf(const Table& table, int column) {
  if (table.column(column).type() == v1::COLUMN_TYPE_CATEGORICAL) {
    const auto codes = table.codes(column);
    return {reinterpret_cast<const char*>(codes.data()), codes.size_bytes()};
  }
  const auto numbers = table.numbers(column);
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size_bytes()};
}

std::string EncodeLevels(const Table& table, int column) {
  if (table.column(column).type() != v1::COLUMN_TYPE_CATEGORICAL) return "";
  return EncodeTexts(table.levels(column));
}

absl::Status WriteContent(const Table& table, WritableFile& file) {
  if (table.schema().ByteSizeLong() > kMaxSchemaBytes) {
    return absl::ResourceExhaustedError("the schema of the table exceeds 2 GiB");
  }
  const std::string schema = table.schema().SerializeAsString();
  const auto columns = static_cast<size_t>(table.column_count());
  std::vector<Section> sections(columns);
  std::vector<std::string> levels(columns);
  uint64_t offset = Align(sizeof(FileHeader) + schema.size() + columns * sizeof(Section));
  for (size_t i = 0; i < columns; ++i) {
    const std::string_view values = ValuesOf(table, static_cast<int>(i));
    levels[i] = EncodeLevels(table, static_cast<int>(i));
    sections[i] = {offset, values.size(), 0, levels[i].size(), Crc32c(values), Crc32c(levels[i])};
    offset += values.size();
    sections[i].levels_offset = offset;
    offset = Align(offset + levels[i].size());
  }
  const std::string_view section_bytes(reinterpret_cast<const char*>(sections.data()),
                                       columns * sizeof(Section));
  FileHeader header{};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.file_bytes = offset;
  header.schema_bytes = static_cast<uint32_t>(schema.size());
  header.column_count = static_cast<uint32_t>(columns);
  header.index_crc = ExtendCrc32c(Crc32c(schema), section_bytes);
  header.header_crc = Crc32c(BytesOf(header).substr(0, offsetof(FileHeader, header_crc)));

  uint64_t written = 0;
  const auto append = [&](std::string_view bytes) {
    written += bytes.size();
    return file.Append(bytes);
  };
  const auto pad = [&] { return append(std::string(Align(written) - written, '\0')); };
  TY_RETURN_IF_ERROR(append(BytesOf(header)));
  TY_RETURN_IF_ERROR(append(schema));
  TY_RETURN_IF_ERROR(append(section_bytes));
  for (size_t i = 0; i < columns; ++i) {
    TY_RETURN_IF_ERROR(pad());
    TY_RETURN_IF_ERROR(append(ValuesOf(table, static_cast<int>(i))));
    TY_RETURN_IF_ERROR(append(levels[i]));
  }
  return pad();
}

// Reads a mapped cache; every offset is checked before it is used.
class CacheReader {
 public:
  CacheReader(std::shared_ptr<const MappedFile> file, const std::filesystem::path& path)
      : file_(std::move(file)), bytes_(file_->bytes()), path_(path) {}

  absl::StatusOr<std::shared_ptr<const Table>> Read(bool verify) {
    FileHeader header{};
    if (bytes_.size() < sizeof(header)) return Damaged("it is shorter than its header");
    std::memcpy(&header, bytes_.data(), sizeof(header));
    if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0)
      return Damaged("it is no table cache");
    if (header.header_crc != Crc32c(bytes_.substr(0, offsetof(FileHeader, header_crc)))) {
      return Damaged("the checksum of its header differs");
    }
    if (header.file_bytes != bytes_.size()) {
      return Damaged(
          absl::StrCat("it has ", bytes_.size(), " bytes instead of ", header.file_bytes));
    }
    const uint64_t index_bytes =
        uint64_t{header.schema_bytes} + uint64_t{header.column_count} * sizeof(Section);
    if (index_bytes > bytes_.size() - sizeof(header)) return Damaged("its index is cut off");
    if (header.schema_bytes > kMaxSchemaBytes) return Damaged("its schema is too large");
    const std::string_view index = bytes_.substr(sizeof(header), index_bytes);
    v1::TableSchema schema;
    if (Crc32c(index) != header.index_crc ||
        !schema.ParseFromArray(index.data(), static_cast<int>(header.schema_bytes)) ||
        schema.columns_size() != static_cast<int64_t>(header.column_count) ||
        schema.row_count() < 0) {
      return Damaged("its index is damaged");
    }
    std::vector<ColumnData> columns;
    for (int i = 0; i < schema.columns_size(); ++i) {
      Section section{};
      std::memcpy(&section,
                  index.data() + header.schema_bytes + static_cast<size_t>(i) * sizeof(section),
                  sizeof(section));
      TY_ASSIGN_OR_RETURN(columns.emplace_back(), ReadColumn(schema, i, section, verify));
    }
    return TableOf(std::move(columns), std::move(schema));
  }

 private:
  absl::Status Damaged(absl::string_view what) const {
    return absl::DataLossError(absl::StrCat("table cache ", path_.string(), " is damaged: ", what));
  }

  bool Holds(uint64_t offset, uint64_t size) const {
    return offset <= bytes_.size() && size <= bytes_.size() - offset;
  }

  absl::StatusOr<ColumnData> ReadColumn(const v1::TableSchema& schema, int index,
                                        const Section& section, bool verify) const {
    const v1::ColumnSchema& column = schema.columns(index);
    const bool categorical = column.type() == v1::COLUMN_TYPE_CATEGORICAL;
    const uint64_t value_bytes = categorical ? sizeof(int32_t) : sizeof(double);
    const auto rows = static_cast<uint64_t>(schema.row_count());
    if (!Holds(section.values_offset, section.values_bytes) ||
        !Holds(section.levels_offset, section.levels_bytes) ||
        section.values_offset % kAlignment != 0 || rows > bytes_.size() ||
        section.values_bytes != rows * value_bytes) {
      return Damaged(absl::StrCat("the place of column ", column.name(), " is wrong"));
    }
    const std::string_view values = bytes_.substr(section.values_offset, section.values_bytes);
    const std::string_view levels = bytes_.substr(section.levels_offset, section.levels_bytes);
    if ((verify && Crc32c(values) != section.values_crc) || Crc32c(levels) != section.levels_crc) {
      return Damaged(absl::StrCat("the checksum of column ", column.name(), " differs"));
    }
    ColumnData data;
    data.name = column.name();
    data.type = column.type();
    data.storage = file_;
    if (!categorical) {
      data.numbers = {reinterpret_cast<const double*>(values.data()), rows};
      return data;
    }
    data.codes = {reinterpret_cast<const int32_t*>(values.data()), rows};
    if (!DecodeTexts(levels, data.levels)) {
      return Damaged(absl::StrCat("the levels of column ", column.name(), " are cut off"));
    }
    const auto count = static_cast<int64_t>(data.levels.size());
    if (std::any_of(data.codes.begin(), data.codes.end(),
                    [&](int32_t code) { return code < -1 || code >= count; })) {
      return Damaged(absl::StrCat("column ", column.name(), " has a code without a level"));
    }
    return data;
  }

  const std::shared_ptr<const MappedFile> file_;
  const std::string_view bytes_;
  const std::filesystem::path path_;
};

}  // namespace

absl::Status WriteTableCache(const Table& table, const std::filesystem::path& file,
                             FileSystem& files) {
  std::filesystem::path temporary = file;
  temporary += absl::StrCat(".", RandomHexToken(6), ".tmp");
  absl::Status written = [&]() -> absl::Status {
    TY_ASSIGN_OR_RETURN(auto writer, files.Create(temporary, 0));
    TY_RETURN_IF_ERROR(WriteContent(table, *writer));
    TY_RETURN_IF_ERROR(writer->Sync());
    TY_RETURN_IF_ERROR(writer->Close());
    return files.Rename(temporary, file);
  }();
  if (!written.ok()) {
    (void)files.Remove(temporary);
    return written;
  }
  return files.SyncFolder(file.has_parent_path() ? file.parent_path() : ".");
}

absl::StatusOr<std::shared_ptr<const Table>> OpenTableCache(const std::filesystem::path& file,
                                                            bool verify) {
  TY_ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> mapped, MappedFile::Open(file));
  return CacheReader(std::move(mapped), file).Read(verify);
}

}  // namespace trainyard
