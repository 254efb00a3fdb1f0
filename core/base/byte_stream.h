// Numbers, lists and texts in a string of bytes, as they lie in memory: for checkpoints, which only
// the program that wrote them reads.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace trainyard {

// Appends to a string.
class ByteWriter {
 public:
  template <typename T>
  void Put(T value) {
    static_assert(std::is_arithmetic_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  // The length and the text.
  void PutText(std::string_view text) {
    Put(static_cast<uint64_t>(text.size()));
    bytes_ += text;
  }
  // The length and the elements.
  template <typename T>
  void PutList(const std::vector<T>& values) {
    static_assert(std::is_trivially_copyable_v<T>);
    Put(static_cast<uint64_t>(values.size()));
    bytes_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  }

  const std::string& bytes() const { return bytes_; }

  // The bytes followed by their CRC-32C.
  std::string Seal() &&;

 private:
  std::string bytes_;
};

// Reads from the front; once something is missing it reads zeros and is not ok.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}

  // A reader of what was sealed; one that is not ok where the checksum does not fit.
  static ByteReader Unseal(std::string_view bytes);

  bool ok() const { return ok_; }
  // Whether everything was read and nothing was missing.
  bool done() const { return ok_ && bytes_.empty(); }

  template <typename T>
  T Take() {
    static_assert(std::is_arithmetic_v<T>);
    T value{};
    const std::string_view part = TakeBytes(sizeof(T));
    if (ok_) std::memcpy(&value, part.data(), sizeof(T));
    return value;
  }
  std::string_view TakeText() { return TakeBytes(Take<uint64_t>()); }
  template <typename T>
  std::vector<T> TakeList() {
    static_assert(std::is_trivially_copyable_v<T>);
    const uint64_t count = Take<uint64_t>();
    ok_ = ok_ && count <= bytes_.size() / sizeof(T);
    std::vector<T> values(ok_ ? count : 0);
    const std::string_view part = TakeBytes(values.size() * sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), part.data(), part.size());
    return values;
  }
  // From now on nothing is ok: what was read does not fit together.
  void Fail() { ok_ = false; }

 private:
  std::string_view TakeBytes(uint64_t count) {
    ok_ = ok_ && bytes_.size() >= count;
    if (!ok_) return {};
    const std::string_view part = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return part;
  }

  std::string_view bytes_;
  bool ok_ = true;
};

// FNV-1a: tells apart the jobs that checkpoints belong to.
uint64_t FingerprintOf(std::string_view text);

}  // namespace trainyard
