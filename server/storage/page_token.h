// Opaque page tokens: where a listing goes on, bound to what is listed.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace trainyard {

// The last item of a page, in the order of the listing.
struct PagePosition {
  int64_t number = 0;  // value that the listing is ordered by
  int64_t row = 0;     // breaks ties
  std::string text;

  friend bool operator==(const PagePosition&, const PagePosition&) = default;
};

// Makes and reads tokens: base64url of version, position and an HMAC-SHA256, cut to 128 bits, over
// these and the query. Thread-safe.
class PageTokens {
 public:
  explicit PageTokens(std::string key) : key_(std::move(key)) {}

  // `query` identifies what is listed: kind, parent, filter, order (see PageQuery).
  std::string Make(std::string_view query, const PagePosition& position) const;

  // INVALID_ARGUMENT with a violation of `page_token` when the token was not made by this store for
  // this query.
  absl::StatusOr<PagePosition> Read(std::string_view query, std::string_view token) const;

 private:
  std::string Authentication(std::string_view query, std::string_view payload) const;

  std::string key_;
};

// `parts` joined so that no other parts give the same text.
std::string PageQuery(std::initializer_list<std::string_view> parts);

}  // namespace trainyard
