// Values of eight bytes, lists and texts in a string of bytes, little-endian: for checkpoints,
// which only the program that wrote them reads.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard {

// Appends to a string.
class ByteWriter {
 public:
  template <typename T>
  void Put(T value) {
    static_assert(sizeof(T) == 8);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  // The length and the text.
  void PutText(std::string_view text) {
    Put(static_cast<uint64_t>(text.size()));
    bytes_ += text;
  }
  // The length and the numbers.
  void PutList(const std::vector<double>& values) {
    Put(static_cast<uint64_t>(values.size()));
    for (const double value : values) Put(value);
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
    static_assert(sizeof(T) == 8);
    T value{};
    const std::string_view part = TakeBytes(sizeof(T));
    if (ok_) std::memcpy(&value, part.data(), sizeof(T));
    return value;
  }
  std::string_view TakeText() { return TakeBytes(Take<uint64_t>()); }
  std::vector<double> TakeList();

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
