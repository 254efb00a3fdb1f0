#include "core/data/csv_levels.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace trainyard {

std::vector<int32_t> LevelSet::Add(const std::vector<absl::string_view>& texts) {
  std::vector<int32_t> codes;
  codes.reserve(texts.size());
  MutexLock lock(&mutex_);
  for (const absl::string_view text : texts) {
    auto known = codes_.find(text);
    if (known == codes_.end()) {
      if (static_cast<int64_t>(texts_.size()) >= max_levels_) {
        overflowed_ = true;
        codes.push_back(0);
        continue;
      }
      const auto code = static_cast<int32_t>(texts_.size());
      known = codes_.emplace(texts_.emplace_back(text), code).first;
    }
    codes.push_back(known->second);
  }
  return codes;
}

bool LevelSet::overflowed() const {
  MutexLock lock(&mutex_);
  return overflowed_;
}

std::vector<std::string> LevelSet::TakeSorted(std::vector<int32_t>& ranks) {
  MutexLock lock(&mutex_);
  codes_.clear();
  std::vector<int32_t> order(texts_.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return texts_[static_cast<size_t>(a)] < texts_[static_cast<size_t>(b)];  // under the lock above
  });
  ranks.resize(texts_.size());
  std::vector<std::string> sorted;
  sorted.reserve(texts_.size());
  for (const int32_t code : order) {
    ranks[static_cast<size_t>(code)] = static_cast<int32_t>(sorted.size());
    sorted.push_back(std::move(texts_[static_cast<size_t>(code)]));
  }
  texts_.clear();
  return sorted;
}

void Recode(std::span<int32_t> codes, const std::vector<int32_t>& new_codes) {
  for (int32_t& code : codes) {
    if (code >= 0) code = new_codes[static_cast<size_t>(code)];
  }
}

}  // namespace trainyard
