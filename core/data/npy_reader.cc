#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/parallel.h"
#include "core/base/status.h"
#include "core/data/column_data.h"
#include "core/data/file_formats.h"
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

using Convert = double (*)(const char*);

template <typename T>
double Load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return static_cast<double>(value);
}

double LoadHalf(const char* at) {
  uint16_t bits = 0;
  std::memcpy(&bits, at, sizeof(bits));
  return _cvtsh_ss(bits);
}

struct ElementType {
  absl::string_view name;  // without the byte order
  size_t bytes;
  Convert convert;
};

constexpr ElementType kTypes[] = {
    {"f8", 8, Load<double>},   {"f4", 4, Load<float>},    {"f2", 2, LoadHalf},
    {"i1", 1, Load<int8_t>},   {"i2", 2, Load<int16_t>},  {"i4", 4, Load<int32_t>},
    {"i8", 8, Load<int64_t>},  {"u1", 1, Load<uint8_t>},  {"u2", 2, Load<uint16_t>},
    {"u4", 4, Load<uint32_t>}, {"u8", 8, Load<uint64_t>}, {"b1", 1, Load<uint8_t>}};

absl::StatusOr<ElementType> FindType(const std::string& type) {
  const bool little_endian =
      type.starts_with('<') || type.starts_with('|') || type.starts_with('=');
  for (const ElementType& known : kTypes) {
    if (little_endian && type.substr(1) == known.name) return known;
  }
  return Invalid(absl::StrCat("of type ", QuoteValue(type),
                              "; it must be little-endian f2, f4, f8, i1 to i8, u1 to u8 or b1"));
}

}  // namespace

bool LooksLikeNpy(std::string_view bytes) { return bytes.starts_with(kMagic); }

absl::StatusOr<std::shared_ptr<const Table>> ParseNpy(std::string_view bytes,
                                                      const v1::TableReadOptions& options,
                                                      const TableLimits& limits, int threads) {
  if (!LooksLikeNpy(bytes)) return InvalidFile("file", "does not begin like a NumPy array");
  TY_ASSIGN_OR_RETURN(const ArrayHeader header, ParseHeader(bytes));
  TY_ASSIGN_OR_RETURN(const ElementType type, FindType(header.type));
  if (header.shape.empty() || header.shape.size() > 2) {
    return Invalid(
        absl::StrCat("of ", header.shape.size(), " dimensions; it must have one or two"));
  }
  const int64_t rows = header.shape[0];
  const int64_t columns = header.shape.size() == 2 ? header.shape[1] : 1;
  if (rows == 0 || columns == 0)
    return InvalidFile("file", "is empty; a table needs at least one row");
  if (columns > limits.max_columns || rows > limits.max_rows) {
    return Invalid(absl::StrCat("of ", rows, " rows and ", columns, " columns; at most ",
                                limits.max_rows, " and ", limits.max_columns, " are allowed"));
  }
  const auto available = static_cast<int64_t>(header.data.size() / type.bytes);
  if (available / columns < rows) {
    return Invalid(absl::StrCat("it is cut off: ", rows, " x ", columns, " values are declared, ",
                                available, " are there"));
  }
  std::vector<ColumnData> data(static_cast<size_t>(columns));
  std::vector<int64_t> infinite(static_cast<size_t>(columns), -1);
  ParallelFor(threads, columns, [&](int64_t c) {
    const auto values = std::make_shared<std::vector<double>>(static_cast<size_t>(rows));
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t index = header.fortran_order ? c * rows + r : r * columns + c;
      const double value =
          type.convert(header.data.data() + static_cast<size_t>(index) * type.bytes);
      if (std::isinf(value) && infinite[static_cast<size_t>(c)] < 0)
        infinite[static_cast<size_t>(c)] = r;
      (*values)[static_cast<size_t>(r)] = value;
    }
    ColumnData& column = data[static_cast<size_t>(c)];
    column.name = absl::StrCat("x", c);
    column.type = type.name == "b1" ? v1::COLUMN_TYPE_BOOLEAN : v1::COLUMN_TYPE_NUMERIC;
    column.numbers = *values;
    column.storage = values;
  });
  ParseErrors errors(limits.max_reported_errors);
  for (int64_t c = 0; c < columns; ++c) {
    const int64_t row = infinite[static_cast<size_t>(c)];
    if (row >= 0) errors.Add(row + 1, c + 1, "the value is infinite; it must be finite or NaN");
  }
  TY_RETURN_IF_ERROR(errors.ToStatus());
  v1::TableReadOptions read = options;
  read.set_format(v1::TableReadOptions::FORMAT_NPY);
  return TableOf(std::move(data), rows, read, threads);
}

}  // namespace trainyard
