#include "core/base/secret.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/escaping.h"

namespace trainyard {

std::string RandomHexToken(int bytes) {
  std::string random(static_cast<size_t>(bytes), '\0');
  for (size_t done = 0; done < random.size();) {
    const ssize_t got = getrandom(random.data() + done, random.size() - done, 0);
    if (got > 0) done += static_cast<size_t>(got);
    if (got < 0 && errno != EINTR) std::abort();  // no kernel that Debian 12 runs on lacks it
  }
  return absl::BytesToHexString(random);
}

bool ConstantTimeEquals(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  // Volatile, so that the compiler cannot leave the loop once the outcome is known.
  volatile unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<unsigned char>(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

}  // namespace trainyard
