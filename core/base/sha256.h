// SHA-256 (FIPS 180-4), computed by OpenSSL.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace trainyard {

// Hashes bytes that come in pieces. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(std::string_view bytes);
  // The hash of everything so far as 64 lower-case hexadecimal digits; more may be added
  // afterwards.
  std::string HexDigest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The hash of `bytes` in hexadecimal.
std::string Sha256Hex(std::string_view bytes);

}  // namespace trainyard
