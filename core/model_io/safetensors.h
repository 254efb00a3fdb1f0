// Files of named tensors in the safetensors format: the length of a JSON header (8 bytes,
// little-endian), the header, the tensors' bytes (little-endian, row-major).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "core/data/file_bytes.h"

namespace trainyard {

enum class TensorType { kF64, kF32, kI64, kI32, kU8, kBool };

// As the header says it: `F64`, `F32`, `I64`, `I32`, `U8`, `BOOL`.
const char* TensorTypeName(TensorType type);
// Bytes of one element.
int64_t TensorTypeSize(TensorType type);

// A tensor whose elements lie elsewhere. An empty shape is a scalar.
struct TensorView {
  std::string name;
  TensorType type = TensorType::kF64;
  std::vector<int64_t> shape;
  std::string_view bytes;

  static TensorView Of(std::string name, std::vector<int64_t> shape, std::span<const double> data);
  static TensorView Of(std::string name, std::vector<int64_t> shape, std::span<const float> data);
  static TensorView Of(std::string name, std::vector<int64_t> shape, std::span<const int64_t> data);
  static TensorView Of(std::string name, std::vector<int64_t> shape, std::span<const int32_t> data);
  static TensorView Of(std::string name, std::vector<int64_t> shape, std::span<const uint8_t> data);
};

// Largest header that is written or read, in bytes; the format's limit.
inline constexpr int64_t kMaxSafetensorsHeader = 100'000'000;

// Writes a file as WriteFilePiecewise does. Tensors lie in the order of types by size, largest
// first, then of names, and data begin at a multiple of 8, so that every element is aligned; for
// the same tensors and at most one entry of metadata the bytes are those of the reference
// implementation. `metadata` are texts for readers. INVALID_ARGUMENT when a name is repeated, is
// `__metadata__` or is not UTF-8, a shape does not fit its bytes, or the header is too large; else
// the errors of WriteFilePiecewise.
absl::Status WriteSafetensors(const std::filesystem::path& file, std::vector<TensorView> tensors,
                              const std::map<std::string, std::string>& metadata,
                              const std::function<absl::Status()>& check,
                              FileSystem& files = FileSystem::Real());

// A file mapped into memory. Immutable, thread-safe.
class SafetensorsFile {
 public:
  // Checks everything that the header says. DATA_LOSS when the file is missing or shorter or longer
  // than its header says, the header is no strict JSON of the format's form, or too large, a name
  // is repeated, a type is not one of TensorType, a shape does not fit its bytes, or the tensors
  // overlap or leave holes; NOT_FOUND and others from the file system.
  static absl::StatusOr<SafetensorsFile> Open(const std::filesystem::path& file);
  // The same for bytes, which must outlive the result.
  static absl::StatusOr<SafetensorsFile> Parse(std::string_view bytes);

  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // By name. The bytes need not be aligned.
  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }

  // A copy of the elements of a tensor of type F64 (I32, I64). DATA_LOSS when it is absent, of
  // another type or of another shape.
  absl::StatusOr<std::vector<double>> Doubles(std::string_view name,
                                              const std::vector<int64_t>& shape) const;
  absl::StatusOr<std::vector<int32_t>> Int32s(std::string_view name,
                                              const std::vector<int64_t>& shape) const;
  absl::StatusOr<std::vector<int64_t>> Int64s(std::string_view name,
                                              const std::vector<int64_t>& shape) const;

 private:
  template <typename T>
  absl::StatusOr<std::vector<T>> Elements(std::string_view name, TensorType type,
                                          const std::vector<int64_t>& shape) const;

  std::shared_ptr<const MappedFile> mapped_;  // null where the bytes are someone else's
  std::map<std::string, std::string> metadata_;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

}  // namespace trainyard
