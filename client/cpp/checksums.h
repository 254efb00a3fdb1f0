// Checksums of transferred files: CRC-32C per chunk, SHA-256 per file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace trainyard {

// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) of `data`, continuing from `crc`, the value
// of the bytes before it (0 at the start).
uint32_t Crc32c(std::string_view data, uint32_t crc = 0);

// SHA-256 over data that arrives in pieces. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(std::string_view data);

  // The digest of everything so far as 64 lower-case hexadecimal digits; starts anew afterwards.
  std::string FinishHex();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

}  // namespace trainyard
