// Writing and reading the state of a search as bytes that a later attempt goes on from.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/algorithms/quant_bnb/search_course.h"
#include "core/algorithms/quant_bnb/search_problem.h"

namespace trainyard::quant_bnb {

// Appends numbers (little-endian), lists (their length first) and the parts of a search.
class StateWriter {
 public:
  // `magic` names the method and the version of its state, `fingerprint` the problem and options.
  StateWriter(uint64_t magic, uint64_t fingerprint) {
    Put(magic);
    Put(fingerprint);
  }

  template <typename T>
  void Put(T value) {
    static_assert(std::is_arithmetic_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  template <typename T>
  void PutList(const std::vector<T>& values) {
    static_assert(std::is_trivially_copyable_v<T>);
    Put(static_cast<uint64_t>(values.size()));
    bytes_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  }
  void PutText(std::string_view text);
  void PutCourse(const CourseState& course);

  // All that was put, with a checksum.
  std::string Finish() &&;

 private:
  std::string bytes_;
};

// Reads what a StateWriter wrote. Once something does not fit it reads zeros and is not ok; what
// was read is of use only where `done` is true at the end.
class StateReader {
 public:
  // Not ok where `bytes` are damaged or of another magic or fingerprint. They outlive the reader.
  StateReader(std::string_view bytes, uint64_t magic, uint64_t fingerprint);

  bool ok() const { return ok_; }
  bool done() const { return ok_ && bytes_.empty(); }
  void Fail() { ok_ = false; }

  template <typename T>
  T Take() {
    static_assert(std::is_arithmetic_v<T>);
    T value{};
    const std::string_view part = TakeBytes(sizeof(T));
    if (ok_) std::memcpy(&value, part.data(), sizeof(T));
    return value;
  }
  template <typename T>
  std::vector<T> TakeList() {
    const uint64_t count = Take<uint64_t>();
    if (count > bytes_.size() / sizeof(T)) ok_ = false;
    if (!ok_) return {};
    std::vector<T> values(count);
    const std::string_view part = TakeBytes(count * sizeof(T));
    if (count > 0) std::memcpy(values.data(), part.data(), part.size());
    return values;
  }
  std::string_view TakeText() { return TakeBytes(Take<uint64_t>()); }
  // Fails where the tree is not one on the features of `problem`.
  CourseState TakeCourse(const SearchProblem& problem);

 private:
  std::string_view TakeBytes(uint64_t count);

  std::string_view bytes_;
  bool ok_ = true;
};

// A number for a problem and the options that its search depends on: all but the limits.
uint64_t FingerprintOf(const SearchProblem& problem, const v1::QuantBnbSpec& spec);

}  // namespace trainyard::quant_bnb
