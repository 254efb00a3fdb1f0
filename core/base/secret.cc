#include "core/base/secret.h"

#include <openssl/crypto.h>
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
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace trainyard
