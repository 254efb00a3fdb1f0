// Loops over many rows that ask now and then whether to go on.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "core/base/random.h"
#include "core/base/status.h"

namespace trainyard {

// Asked whether to go on; OK, or why not. May be empty: always.
using GoOnCheck = std::function<absl::Status()>;

// Rows between two questions: some 10 ms.
inline constexpr size_t kRowsPerQuestion = size_t{1} << 20;

inline absl::Status Ask(const GoOnCheck& check) { return check ? check() : absl::OkStatus(); }

// Calls `work(i)` for all i < count.
template <typename Work>
absl::Status ForEachRow(size_t count, const GoOnCheck& check, const Work& work) {
  for (size_t begin = 0; begin < count; begin += kRowsPerQuestion) {
    TY_RETURN_IF_ERROR(Ask(check));
    const size_t end = std::min(count, begin + kRowsPerQuestion);
    for (size_t i = begin; i < end; ++i) work(i);
  }
  return absl::OkStatus();
}

// The permutation that Rng::Shuffle makes.
template <typename T>
absl::Status ShuffleRows(std::span<T> rows, Rng& rng, const GoOnCheck& check) {
  return ForEachRow(rows.empty() ? 0 : rows.size() - 1, check, [&](size_t done) {
    const size_t i = rows.size() - done;
    std::swap(rows[i - 1], rows[rng.UniformInt(i)]);
  });
}

// As std::stable_sort: sorts parts, then merges neighbours.
template <typename T, typename Less>
absl::Status SortRows(std::span<T> rows, const Less& less, const GoOnCheck& check) {
  for (size_t begin = 0; begin < rows.size(); begin += kRowsPerQuestion) {
    TY_RETURN_IF_ERROR(Ask(check));
    const std::span<T> part = rows.subspan(begin, std::min(kRowsPerQuestion, rows.size() - begin));
    std::stable_sort(part.begin(), part.end(), less);
  }
  for (size_t size = kRowsPerQuestion; size < rows.size(); size *= 2) {
    for (size_t begin = 0; begin + size < rows.size(); begin += 2 * size) {
      TY_RETURN_IF_ERROR(Ask(check));
      const auto first = rows.begin() + static_cast<ptrdiff_t>(begin);
      const auto middle = first + static_cast<ptrdiff_t>(size);
      const auto last = first + static_cast<ptrdiff_t>(std::min(2 * size, rows.size() - begin));
      std::inplace_merge(first, middle, last, less);
    }
  }
  return absl::OkStatus();
}

}  // namespace trainyard
