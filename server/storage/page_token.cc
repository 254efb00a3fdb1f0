#include "server/storage/page_token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/schema/violations.h"
#include "server/storage/sqlite.h"

namespace trainyard {
namespace {

constexpr char kVersion = 1;
constexpr size_t kHeaderBytes = 1 + 2 * sizeof(int64_t);
constexpr size_t kAuthenticationBytes = 16;
constexpr size_t kMaxTokenBytes = 4096;

absl::Status Invalid() {
  Violations violations;
  violations.Add("page_token",
                 "is not a token that this server gave out for a request of the same parent, "
                 "filter and order; begin again without one");
  return violations.ToStatus();
}

void AppendNumber(int64_t number, std::string& bytes) {
  for (int shift = 56; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<char>(static_cast<uint64_t>(number) >> shift));
  }
}

int64_t NumberAt(std::string_view bytes, size_t position) {
  uint64_t number = 0;
  for (size_t i = 0; i < sizeof(number); ++i) {
    number = number << 8 | static_cast<unsigned char>(bytes[position + i]);
  }
  return static_cast<int64_t>(number);
}

}  // namespace

std::string PageQuery(std::initializer_list<std::string_view> parts) {
  std::string query;
  for (const std::string_view part : parts) {
    absl::StrAppend(&query, part.size(), ":", AbslView(part));
  }
  return query;
}

std::string PageTokens::Authentication(std::string_view query, std::string_view payload) const {
  const std::string message = PageQuery({query, payload});
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
       reinterpret_cast<const unsigned char*>(message.data()), message.size(), digest, &size);
  return std::string(reinterpret_cast<const char*>(digest), kAuthenticationBytes);
}

std::string PageTokens::Make(std::string_view query, const PagePosition& position) const {
  std::string bytes(1, kVersion);
  AppendNumber(position.number, bytes);
  AppendNumber(position.row, bytes);
  bytes += position.text;
  bytes += Authentication(query, bytes);
  return absl::WebSafeBase64Escape(bytes);
}

absl::StatusOr<PagePosition> PageTokens::Read(std::string_view query,
                                              std::string_view token) const {
  std::string bytes;
  // Several texts decode to the same bytes; only the one that was given out counts.
  if (token.size() > kMaxTokenBytes || !absl::WebSafeBase64Unescape(AbslView(token), &bytes) ||
      absl::WebSafeBase64Escape(bytes) != AbslView(token) ||
      bytes.size() < kHeaderBytes + kAuthenticationBytes || bytes[0] != kVersion) {
    return Invalid();
  }
  const std::string_view all = bytes;
  const std::string_view payload = all.substr(0, all.size() - kAuthenticationBytes);
  const std::string expected = Authentication(query, payload);
  if (CRYPTO_memcmp(expected.data(), all.data() + payload.size(), kAuthenticationBytes) != 0) {
    return Invalid();
  }
  return PagePosition{NumberAt(payload, 1), NumberAt(payload, 1 + sizeof(int64_t)),
                      std::string(payload.substr(kHeaderBytes))};
}

}  // namespace trainyard
