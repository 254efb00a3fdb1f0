#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/parallel.h"
#include "core/base/status.h"
#include "core/data/column_data.h"
#include "core/data/column_memory.h"
#include "core/data/file_formats.h"
#include "core/data/numeric_columns.h"
#include "core/data/parse_errors.h"
#include "core/data/value_parsing.h"

namespace trainyard {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);

struct ArrayHeader {
  std::string type;  // for example `<f8`
  bool fortran_order = false;
  std::vector<int64_t> shape;
  std::string_view data;
};

absl::Status Invalid(absl::string_view rule) {
  return InvalidFile("file", absl::StrCat("is a NumPy array, but ", rule));
}

// What stands behind `'key':` in the header, a Python dictionary.
std::optional<std::string_view> ValueOf(std::string_view header, std::string_view key) {
  const std::string quoted = absl::StrCat("'", absl::string_view(key.data(), key.size()), "'");
  size_t at = header.find(quoted);
  if (at == std::string_view::npos) return std::nullopt;
  at = header.find(':', at + quoted.size());
  if (at == std::string_view::npos) return std::nullopt;
  return TrimBlanks(header.substr(at + 1));
}

absl::StatusOr<std::vector<int64_t>> ParseShape(std::string_view text) {
  const size_t close = text.find(')');
  if (text.empty() || text.front() != '(' || close == std::string_view::npos) {
    return Invalid("its header has no shape");
  }
  text = text.substr(1, close - 1);
  std::vector<int64_t> shape;
  while (!TrimBlanks(text).empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view number = TrimBlanks(text.substr(0, comma));
    int64_t size = 0;
    if (!absl::SimpleAtoi(absl::string_view(number.data(), number.size()), &size) || size < 0) {
      return Invalid(absl::StrCat("its shape holds ", QuoteValue(number)));
    }
    shape.push_back(size);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return shape;
}

absl::StatusOr<ArrayHeader> ParseHeader(std::string_view bytes) {
  if (bytes.size() < 12) return Invalid("its header is cut off");
  const int major = static_cast<unsigned char>(bytes[6]);
  if (major < 1 || major > 3) return Invalid(absl::StrCat("of the unknown format version ", major));
  const size_t length_bytes = major == 1 ? 2 : 4;
  size_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data() + 8, length_bytes);
  const size_t data_begin = 8 + length_bytes + header_bytes;
  if (header_bytes > bytes.size() || data_begin > bytes.size())
    return Invalid("its header is cut off");
  const std::string_view text = bytes.substr(8 + length_bytes, header_bytes);
  const auto type = ValueOf(text, "descr");
  const auto order = ValueOf(text, "fortran_order");
  const auto shape = ValueOf(text, "shape");
  if (!type || !order || !shape) return Invalid("its header lacks descr, fortran_order or shape");
  ArrayHeader header;
  if (type->size() < 2 || (type->front() != '\'' && type->front() != '"')) {
    return Invalid("of records; it must hold numbers of one type");
  }
  const size_t quote = type->find(type->front(), 1);
  header.type = std::string(type->substr(1, quote == std::string_view::npos ? 0 : quote - 1));
  header.fortran_order = order->starts_with("True");
  TY_ASSIGN_OR_RETURN(header.shape, ParseShape(*shape));
  header.data = bytes.substr(data_begin);
  return header;
}

double HalfToDouble(uint16_t bits) { return _cvtsh_ss(bits); }

// Copies `count` elements, `stride` bytes apart, as doubles.
using CopyElements = void (*)(const char* from, size_t stride, int64_t count, double* to);

template <typename T>
void Copy(const char* from, size_t stride, int64_t count, double* to) {
  for (int64_t i = 0; i < count; ++i, from += stride) {
    T value;
    std::memcpy(&value, from, sizeof(T));
    to[i] = static_cast<double>(value);
  }
}

void CopyHalves(const char* from, size_t stride, int64_t count, double* to) {
  for (int64_t i = 0; i < count; ++i, from += stride) {
    uint16_t bits = 0;
    std::memcpy(&bits, from, sizeof(bits));
    to[i] = HalfToDouble(bits);
  }
}

void CopyBooleans(const char* from, size_t stride, int64_t count, double* to) {
  for (int64_t i = 0; i < count; ++i, from += stride) to[i] = *from != 0 ? 1 : 0;
}

struct ElementType {
  absl::string_view name;  // without the byte order
  size_t bytes;
  CopyElements copy;
};

constexpr ElementType kTypes[] = {
    {"f8", 8, Copy<double>},   {"f4", 4, Copy<float>},    {"f2", 2, CopyHalves},
    {"i1", 1, Copy<int8_t>},   {"i2", 2, Copy<int16_t>},  {"i4", 4, Copy<int32_t>},
    {"i8", 8, Copy<int64_t>},  {"u1", 1, Copy<uint8_t>},  {"u2", 2, Copy<uint16_t>},
    {"u4", 4, Copy<uint32_t>}, {"u8", 8, Copy<uint64_t>}, {"b1", 1, CopyBooleans}};

absl::StatusOr<ElementType> FindType(const std::string& type) {
  const bool little_endian =
      type.starts_with('<') || type.starts_with('|') || type.starts_with('=');
  for (const ElementType& known : kTypes) {
    if (little_endian && type.substr(1) == known.name) return known;
  }
  return Invalid(absl::StrCat("of type ", QuoteValue(type),
                              "; it must be little-endian f2, f4, f8, i1 to i8, u1 to u8 or b1"));
}

// The size of the table and where its values lie.
struct Layout {
  int64_t rows = 0;
  int64_t columns = 0;
  size_t row_stride = 0;  // bytes
  size_t column_stride = 0;
};

absl::StatusOr<Layout> LayOut(const ArrayHeader& header, const ElementType& type,
                              const TableLimits& limits) {
  if (header.shape.empty() || header.shape.size() > 2) {
    return Invalid(
        absl::StrCat("of ", header.shape.size(), " dimensions; it must have one or two"));
  }
  Layout layout;
  layout.rows = header.shape[0];
  layout.columns = header.shape.size() == 2 ? header.shape[1] : 1;
  if (layout.rows == 0 || layout.columns == 0) {
    return InvalidFile("file", "is empty; a table needs at least one row");
  }
  if (layout.columns > limits.max_columns || layout.rows > limits.max_rows) {
    return Invalid(absl::StrCat("of ", layout.rows, " rows and ", layout.columns,
                                " columns; at most ", limits.max_rows, " and ", limits.max_columns,
                                " are allowed"));
  }
  const auto available = static_cast<int64_t>(header.data.size() / type.bytes);
  if (available / layout.columns < layout.rows) {
    return Invalid(absl::StrCat("it is cut off: ", layout.rows, " x ", layout.columns,
                                " values are declared, ", available, " are there"));
  }
  TY_RETURN_IF_ERROR(CheckTableSize(layout.rows, layout.columns, limits));
  layout.row_stride =
      header.fortran_order ? type.bytes : type.bytes * static_cast<size_t>(layout.columns);
  layout.column_stride =
      header.fortran_order ? type.bytes * static_cast<size_t>(layout.rows) : type.bytes;
  return layout;
}

// Fills the columns a block of rows at a time, small enough to stay in the cache while its columns
// are taken out one by one.
absl::Status FillColumns(const ArrayHeader& header, const ElementType& type, const Layout& layout,
                         int threads, std::vector<std::shared_ptr<double[]>>& columns) {
  for (std::shared_ptr<double[]>& column : columns) {
    column = AllocateColumn<double>(layout.rows);
    if (column == nullptr) {
      return absl::ResourceExhaustedError(absl::StrCat("no memory for a table of ", layout.rows,
                                                       " rows and ", layout.columns, " columns"));
    }
  }
  constexpr int64_t kBlockBytes = int64_t{1} << 18;
  const int64_t row_bytes = layout.columns * static_cast<int64_t>(type.bytes);
  const int64_t block_rows = std::max<int64_t>(8, kBlockBytes / row_bytes);
  ParallelFor(threads, (layout.rows + block_rows - 1) / block_rows, [&](int64_t block) {
    const int64_t first = block * block_rows;
    const int64_t count = std::min(block_rows, layout.rows - first);
    const char* from = header.data.data() + static_cast<size_t>(first) * layout.row_stride;
    for (const std::shared_ptr<double[]>& column : columns) {
      type.copy(from, layout.row_stride, count, column.get() + first);
      from += layout.column_stride;
    }
  });
  return absl::OkStatus();
}

absl::Status CheckFinite(const std::vector<ColumnData>& columns, const TableLimits& limits,
                         int threads) {
  const auto is_infinite = [](double value) { return std::isinf(value); };
  std::vector<std::pair<int64_t, size_t>> places(columns.size());  // row, column
  ParallelFor(threads, static_cast<int64_t>(columns.size()), [&](int64_t i) {
    const auto c = static_cast<size_t>(i);
    const std::span<const double> values = columns[c].numbers;
    places[c] = {std::find_if(values.begin(), values.end(), is_infinite) - values.begin(), c};
  });
  std::sort(places.begin(), places.end());
  ParseErrors errors(limits.max_reported_errors);
  for (const auto& [row, column] : places) {
    if (row == static_cast<int64_t>(columns[column].numbers.size())) break;
    errors.Add(row + 1, static_cast<int64_t>(column) + 1,
               "the value is infinite; it must be finite or NaN");
  }
  return errors.ToStatus();
}

}  // namespace

bool LooksLikeNpy(std::string_view bytes) { return bytes.starts_with(kMagic); }

absl::StatusOr<std::shared_ptr<const Table>> ParseNpy(std::string_view bytes,
                                                      const v1::TableReadOptions& options,
                                                      const TableLimits& limits, int threads) {
  if (!LooksLikeNpy(bytes)) return InvalidFile("file", "does not begin like a NumPy array");
  TY_ASSIGN_OR_RETURN(const ArrayHeader header, ParseHeader(bytes));
  TY_ASSIGN_OR_RETURN(const ElementType type, FindType(header.type));
  TY_ASSIGN_OR_RETURN(const Layout layout, LayOut(header, type, limits));
  std::vector<std::shared_ptr<double[]>> values(static_cast<size_t>(layout.columns));
  TY_RETURN_IF_ERROR(FillColumns(header, type, layout, threads, values));
  std::vector<ColumnData> columns(values.size());
  for (size_t c = 0; c < columns.size(); ++c) {
    columns[c].name = absl::StrCat("x", c);
    columns[c].type = type.name == "b1" ? v1::COLUMN_TYPE_BOOLEAN : v1::COLUMN_TYPE_NUMERIC;
    columns[c].numbers = {values[c].get(), static_cast<size_t>(layout.rows)};
    columns[c].storage = values[c];
  }
  TY_RETURN_IF_ERROR(CheckFinite(columns, limits, threads));
  TY_RETURN_IF_ERROR(ApplyColumnTypes(options, limits, columns));
  v1::TableReadOptions read = options;
  read.set_format(v1::TableReadOptions::FORMAT_NPY);
  return TableOf(std::move(columns), layout.rows, read, threads);
}

}  // namespace trainyard
