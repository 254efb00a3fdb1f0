#include "core/model_io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/data/value_parsing.h"
#include "core/model_io/json_scanner.h"
#include "core/model_io/piecewise_file.h"

namespace trainyard {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr char kMetadata[] = "__metadata__";

struct TypeTraits {
  TensorType type;
  const char* name;
  int64_t size;
};

// In the order in which the reference implementation lays tensors out.
constexpr TypeTraits kTypes[] = {{TensorType::kI64, "I64", 8}, {TensorType::kF64, "F64", 8},
                                 {TensorType::kF32, "F32", 4}, {TensorType::kI32, "I32", 4},
                                 {TensorType::kU8, "U8", 1},   {TensorType::kBool, "BOOL", 1}};

size_t RankOf(TensorType type) {
  return static_cast<size_t>(
      std::find_if(std::begin(kTypes), std::end(kTypes),
                   [type](const TypeTraits& own) { return own.type == type; }) -
      std::begin(kTypes));
}

bool IsUtf8(std::string_view text) { return !FindInvalidUtf8(text).has_value(); }

// Bytes of a tensor; false where a size is negative or the product passes 2^62.
bool ByteCount(TensorType type, const std::vector<int64_t>& shape, int64_t& bytes) {
  bytes = TensorTypeSize(type);
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) bytes = 0;
  for (const int64_t size : shape) {
    if (size < 0) return false;
    if (bytes > 0 && size > (int64_t{1} << 62) / bytes) return false;
    bytes *= size;
  }
  return true;
}

template <typename T>
TensorView ViewOf(std::string name, TensorType type, std::vector<int64_t> shape,
                  std::span<const T> data) {
  return {std::move(name),
          type,
          std::move(shape),
          {reinterpret_cast<const char*>(data.data()), data.size_bytes()}};
}

// --- Writing.

absl::Status CheckTensors(const std::vector<TensorView>& tensors) {
  std::vector<std::string_view> names;
  for (const TensorView& tensor : tensors) {
    names.push_back(tensor.name);
    int64_t bytes = 0;
    if (tensor.name == kMetadata || !IsUtf8(tensor.name)) {
      return absl::InvalidArgumentError(absl::StrCat("a tensor's name is \"", tensor.name,
                                                     "\"; must be UTF-8 and not ", kMetadata));
    }
    if (!ByteCount(tensor.type, tensor.shape, bytes) ||
        bytes != static_cast<int64_t>(tensor.bytes.size())) {
      return absl::InvalidArgumentError(absl::StrCat("the tensor \"", tensor.name, "\" of shape [",
                                                     absl::StrJoin(tensor.shape, ", "), "] has ",
                                                     tensor.bytes.size(), " bytes"));
    }
  }
  std::sort(names.begin(), names.end());
  const auto repeated = std::adjacent_find(names.begin(), names.end());
  if (repeated == names.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("two tensors are named \"", std::string(*repeated), "\""));
}

std::string HeaderOf(const std::vector<TensorView>& tensors,
                     const std::map<std::string, std::string>& metadata) {
  std::vector<std::string> entries;
  if (!metadata.empty()) {
    std::vector<std::string> texts;
    for (const auto& [key, value] : metadata) {
      texts.push_back(absl::StrCat(JsonString(key), ":", JsonString(value)));
    }
    entries.push_back(absl::StrCat("\"", kMetadata, "\":{", absl::StrJoin(texts, ","), "}"));
  }
  size_t begin = 0;
  for (const TensorView& tensor : tensors) {
    const size_t end = begin + tensor.bytes.size();
    entries.push_back(absl::StrCat(
        JsonString(tensor.name), ":{\"dtype\":\"", TensorTypeName(tensor.type), "\",\"shape\":[",
        absl::StrJoin(tensor.shape, ","), "],\"data_offsets\":[", begin, ",", end, "]}"));
    begin = end;
  }
  std::string header = absl::StrCat("{", absl::StrJoin(entries, ","), "}");
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

// --- Reading.

absl::Status Damaged(const std::string& what) {
  return absl::DataLossError(absl::StrCat("not a whole safetensors file: ", what));
}

// What the header says of one tensor.
struct Entry {
  TensorView tensor;
  int64_t begin = 0;
  int64_t end = 0;
};

bool TakeTexts(JsonScanner& json, std::map<std::string, std::string>& texts) {
  if (!json.Take('{')) return false;
  if (json.Take('}')) return true;
  do {
    std::string key;
    std::string value;
    if (!json.TakeString(key) || !json.Take(':') || !json.TakeString(value)) return false;
    if (!texts.emplace(std::move(key), std::move(value)).second) return false;
  } while (json.Take(','));
  return json.Take('}');
}

bool TakeWholes(JsonScanner& json, std::vector<int64_t>& numbers) {
  if (!json.Take('[')) return false;
  if (json.Take(']')) return true;
  do {
    if (!json.TakeWhole(numbers.emplace_back())) return false;
  } while (json.Take(','));
  return json.Take(']');
}

bool TypeFromName(std::string_view name, TensorType& type) {
  const auto* const found =
      std::find_if(std::begin(kTypes), std::end(kTypes),
                   [name](const TypeTraits& traits) { return name == traits.name; });
  if (found == std::end(kTypes)) return false;
  type = found->type;
  return true;
}

// The object of one tensor: its three members, each once, in any order.
bool TakeEntry(JsonScanner& json, Entry& entry) {
  std::vector<int64_t> offsets;
  bool has_type = false;
  bool has_shape = false;
  if (!json.Take('{')) return false;
  do {
    std::string member;
    if (!json.TakeString(member) || !json.Take(':')) return false;
    if (member == "dtype" && !has_type) {
      std::string name;
      if (!json.TakeString(name) || !TypeFromName(name, entry.tensor.type)) return false;
      has_type = true;
    } else if (member == "shape" && !has_shape) {
      if (!TakeWholes(json, entry.tensor.shape)) return false;
      has_shape = true;
    } else if (member == "data_offsets" && offsets.empty()) {
      if (!TakeWholes(json, offsets) || offsets.size() != 2) return false;
    } else {
      return false;
    }
  } while (json.Take(','));
  if (!json.Take('}') || !has_type || !has_shape || offsets.empty()) return false;
  entry.begin = offsets[0];
  entry.end = offsets[1];
  return true;
}

bool TakeHeader(std::string_view text, std::map<std::string, std::string>& metadata,
                std::vector<Entry>& entries) {
  if (!text.starts_with('{')) return false;
  JsonScanner json(text);
  bool has_metadata = false;
  if (!json.Take('{')) return false;
  if (json.Take('}')) return json.AtEnd();
  do {
    std::string name;
    if (!json.TakeString(name) || !json.Take(':')) return false;
    if (name == kMetadata) {
      if (has_metadata || !TakeTexts(json, metadata)) return false;
      has_metadata = true;
      continue;
    }
    Entry entry;
    entry.tensor.name = std::move(name);
    if (!TakeEntry(json, entry)) return false;
    entries.push_back(std::move(entry));
  } while (json.Take(','));
  return json.Take('}') && json.AtEnd();
}

// Whether the tensors fill the data without overlap and holes, each with the bytes of its shape.
absl::Status PlaceTensors(std::string_view data, std::vector<Entry>& entries) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  int64_t reached = 0;
  for (Entry& entry : entries) {
    int64_t bytes = 0;
    if (!ByteCount(entry.tensor.type, entry.tensor.shape, bytes) || entry.begin > entry.end ||
        bytes != entry.end - entry.begin) {
      return Damaged(absl::StrCat("shape and bytes of \"", entry.tensor.name, "\" do not fit"));
    }
    if (entry.begin != reached || entry.end > static_cast<int64_t>(data.size())) {
      return Damaged(absl::StrCat("\"", entry.tensor.name, "\" is at bytes ", entry.begin, " to ",
                                  entry.end, " of ", data.size(), "; expected it to begin at ",
                                  reached));
    }
    entry.tensor.bytes = data.substr(static_cast<size_t>(entry.begin), static_cast<size_t>(bytes));
    reached = entry.end;
  }
  if (reached == static_cast<int64_t>(data.size())) return absl::OkStatus();
  return Damaged(absl::StrCat("tensors end at byte ", reached, " of ", data.size()));
}

}  // namespace

const char* TensorTypeName(TensorType type) { return kTypes[RankOf(type)].name; }
int64_t TensorTypeSize(TensorType type) { return kTypes[RankOf(type)].size; }

TensorView TensorView::Of(std::string name, std::vector<int64_t> shape,
                          std::span<const double> data) {
  return ViewOf(std::move(name), TensorType::kF64, std::move(shape), data);
}
TensorView TensorView::Of(std::string name, std::vector<int64_t> shape,
                          std::span<const float> data) {
  return ViewOf(std::move(name), TensorType::kF32, std::move(shape), data);
}
TensorView TensorView::Of(std::string name, std::vector<int64_t> shape,
                          std::span<const int64_t> data) {
  return ViewOf(std::move(name), TensorType::kI64, std::move(shape), data);
}
TensorView TensorView::Of(std::string name, std::vector<int64_t> shape,
                          std::span<const int32_t> data) {
  return ViewOf(std::move(name), TensorType::kI32, std::move(shape), data);
}
TensorView TensorView::Of(std::string name, std::vector<int64_t> shape,
                          std::span<const uint8_t> data) {
  return ViewOf(std::move(name), TensorType::kU8, std::move(shape), data);
}

absl::Status WriteSafetensors(const std::filesystem::path& file, std::vector<TensorView> tensors,
                              const std::map<std::string, std::string>& metadata,
                              const std::function<absl::Status()>& check, FileSystem& files) {
  TY_RETURN_IF_ERROR(CheckTensors(tensors));
  for (const auto& [key, value] : metadata) {
    if (!IsUtf8(key) || !IsUtf8(value)) {
      return absl::InvalidArgumentError(absl::StrCat("the metadata of ", key, " are not UTF-8"));
    }
  }
  std::sort(tensors.begin(), tensors.end(), [](const TensorView& a, const TensorView& b) {
    const std::pair key_a(RankOf(a.type), std::string_view(a.name));
    return key_a < std::pair(RankOf(b.type), std::string_view(b.name));
  });
  const std::string header = HeaderOf(tensors, metadata);
  if (static_cast<int64_t>(header.size()) > kMaxSafetensorsHeader) {
    return absl::InvalidArgumentError(
        absl::StrCat("the header has ", header.size(), " bytes; at most ", kMaxSafetensorsHeader));
  }
  const uint64_t length = header.size();
  std::vector<std::string_view> parts = {{reinterpret_cast<const char*>(&length), sizeof(length)},
                                         header};
  for (const TensorView& tensor : tensors) parts.push_back(tensor.bytes);
  return WriteFilePiecewise(file, parts, check, files);
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Parse(std::string_view bytes) {
  uint64_t length = 0;
  if (bytes.size() < sizeof(length)) return Damaged("it is shorter than 8 bytes");
  std::memcpy(&length, bytes.data(), sizeof(length));
  bytes.remove_prefix(sizeof(length));
  if (length > static_cast<uint64_t>(kMaxSafetensorsHeader) || length > bytes.size()) {
    return Damaged(absl::StrCat("the header is to have ", length, " bytes"));
  }
  const std::string_view header = bytes.substr(0, length);
  if (!IsUtf8(header)) return Damaged("the header is not UTF-8");
  SafetensorsFile file;
  std::vector<Entry> entries;
  if (!TakeHeader(header, file.metadata_, entries)) {
    return Damaged("the header is not as the format demands");
  }
  TY_RETURN_IF_ERROR(PlaceTensors(bytes.substr(length), entries));
  for (Entry& entry : entries) {
    std::string name = entry.tensor.name;
    if (!file.tensors_.emplace(std::move(name), std::move(entry.tensor)).second) {
      return Damaged("two tensors have the same name");
    }
  }
  return file;
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::filesystem::path& file) {
  TY_ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> mapped, MappedFile::Open(file));
  TY_ASSIGN_OR_RETURN(SafetensorsFile parsed, Parse(mapped->bytes()));
  parsed.mapped_ = std::move(mapped);
  return parsed;
}

template <typename T>
absl::StatusOr<std::vector<T>> SafetensorsFile::Elements(std::string_view name, TensorType type,
                                                         const std::vector<int64_t>& shape) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    return absl::DataLossError(absl::StrCat("there is no tensor \"", std::string(name), "\""));
  }
  const TensorView& tensor = found->second;
  if (tensor.type != type || tensor.shape != shape) {
    return absl::DataLossError(
        absl::StrCat("the tensor \"", std::string(name), "\" is ", TensorTypeName(tensor.type),
                     " [", absl::StrJoin(tensor.shape, ", "), "]; must be ", TensorTypeName(type),
                     " [", absl::StrJoin(shape, ", "), "]"));
  }
  std::vector<T> elements(tensor.bytes.size() / sizeof(T));
  if (!elements.empty()) std::memcpy(elements.data(), tensor.bytes.data(), tensor.bytes.size());
  return elements;
}

absl::StatusOr<std::vector<double>> SafetensorsFile::Doubles(
    std::string_view name, const std::vector<int64_t>& shape) const {
  return Elements<double>(name, TensorType::kF64, shape);
}
absl::StatusOr<std::vector<int32_t>> SafetensorsFile::Int32s(
    std::string_view name, const std::vector<int64_t>& shape) const {
  return Elements<int32_t>(name, TensorType::kI32, shape);
}
absl::StatusOr<std::vector<int64_t>> SafetensorsFile::Int64s(
    std::string_view name, const std::vector<int64_t>& shape) const {
  return Elements<int64_t>(name, TensorType::kI64, shape);
}

}  // namespace trainyard
