#include "server/api/answer_size.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace trainyard {
namespace {

size_t LevelBytes(const v1::ColumnSchema& column) {
  size_t bytes = 0;
  for (const std::string& level : column.levels()) bytes += level.size() + 2;
  return bytes;
}

void DropLevels(v1::TableSchema& schema, size_t surplus) {
  std::vector<std::pair<size_t, int>> columns;
  columns.reserve(static_cast<size_t>(schema.columns_size()));
  for (int i = 0; i < schema.columns_size(); ++i) {
    columns.emplace_back(LevelBytes(schema.columns(i)), i);
  }
  std::sort(columns.rbegin(), columns.rend());
  size_t dropped = 0;
  for (const auto& [bytes, index] : columns) {
    if (dropped >= surplus || bytes == 0) return;
    v1::ColumnSchema& column = *schema.mutable_columns(index);
    schema.set_omitted_level_count(schema.omitted_level_count() + column.levels_size());
    column.clear_levels();
    dropped += bytes;
  }
}

void DropColumns(v1::TableSchema& schema, size_t max_bytes) {
  size_t bytes = 0;
  int kept = 0;
  for (; kept < schema.columns_size(); ++kept) {
    bytes += schema.columns(kept).ByteSizeLong() + 4;
    if (bytes > max_bytes) break;
  }
  const int dropped = schema.columns_size() - kept;
  schema.set_omitted_column_count(schema.omitted_column_count() + dropped);
  schema.mutable_columns()->DeleteSubrange(kept, dropped);
  // The types that the file was read with repeat the names of all columns.
  if (schema.read_options().ByteSizeLong() > max_bytes) {
    schema.mutable_read_options()->clear_column_types();
  }
}

}  // namespace

void FitSchema(v1::TableSchema& schema, size_t max_bytes) {
  const size_t bytes = schema.ByteSizeLong();
  if (bytes <= max_bytes) return;
  DropLevels(schema, bytes - max_bytes);
  if (schema.ByteSizeLong() > max_bytes) DropColumns(schema, max_bytes);
}

bool CutText(std::string& text, size_t max_bytes) {
  if (text.size() <= max_bytes) return false;
  size_t end = max_bytes;
  // A byte 10xxxxxx goes on with a character, which has at most four.
  while (end > 0 && max_bytes - end < 3 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) {
    --end;
  }
  text.resize(end);
  return true;
}

}  // namespace trainyard
