#include "server/api/job_id.h"

#include <algorithm>

namespace trainyard {
namespace {

constexpr int kRandomBits = 20;
constexpr int kDigits = 13;
// Without i, l, o and u, which are misread.
constexpr char kAlphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

}  // namespace

JobIdSource::JobIdSource(Clock& clock, uint64_t seed) : clock_(clock), random_(seed) {}

std::string JobIdSource::Next() {
  const auto milliseconds =
      static_cast<uint64_t>(std::max<int64_t>(0, absl::ToUnixMillis(clock_.Now())));
  MutexLock lock(&mutex_);
  const uint64_t random = random_() >> (64 - kRandomBits);
  last_ = std::max((milliseconds << kRandomBits) | random, last_ + 1);
  std::string id(1 + kDigits, 'j');
  uint64_t rest = last_;
  for (int i = kDigits; i >= 1; --i, rest >>= 5) id[i] = kAlphabet[rest & 31];
  return id;
}

}  // namespace trainyard
