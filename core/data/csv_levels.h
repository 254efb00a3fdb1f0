// The texts of categorical columns on their way to levels.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "core/base/mutex.h"
#include "core/data/short_text_codes.h"

namespace trainyard {

// The texts of one column within one piece of a file, numbered by first occurrence. Views point
// into the file, or into `copies` where quotes were doubled. Not thread-safe.
struct PieceLevels {
  absl::flat_hash_map<absl::string_view, int32_t> codes;  // -1: the text means missing
  ShortTextCodes short_codes;            // the same for short texts, looked at first
  std::vector<absl::string_view> texts;  // by code
  std::deque<std::string> copies;
};

// The texts of one column of a whole file. Thread-safe.
class LevelSet {
 public:
  // Keeps at most `max_levels` texts.
  explicit LevelSet(int64_t max_levels) : max_levels_(max_levels) {}

  // The code in this set of each text, which is added where it is new. Codes depend on the order of
  // the calls. Texts that find no room get code 0.
  std::vector<int32_t> Add(const std::vector<absl::string_view>& texts);

  // Whether a text found no room.
  bool overflowed() const;

  // The texts sorted bytewise; `ranks` becomes the position of every code's text. Empties the set.
  std::vector<std::string> TakeSorted(std::vector<int32_t>& ranks);

 private:
  const int64_t max_levels_;
  mutable Mutex mutex_;
  std::deque<std::string> texts_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<absl::string_view, int32_t> codes_ ABSL_GUARDED_BY(mutex_);
  bool overflowed_ ABSL_GUARDED_BY(mutex_) = false;
};

// Replaces every code by `new_codes[code]`; -1 stays.
void Recode(std::span<int32_t> codes, const std::vector<int32_t>& new_codes);

}  // namespace trainyard
