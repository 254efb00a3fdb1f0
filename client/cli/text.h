// Text for people: widths, quantities, times, near misses.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace trainyard::cli {

// Columns that `text` takes in a terminal: UTF-8, combining marks take none, East Asian wide
// characters and emoji two. Escape sequences of colours take none.
int DisplayWidth(std::string_view text);

// `text` without control characters and escape sequences, so that nothing a server or a training
// writes can steer the terminal; bytes that are not UTF-8 become `?`. Tabs become spaces.
std::string Printable(std::string_view text);

// `text` with `?` for each byte that is not part of UTF-8.
std::string ValidUtf8(std::string_view text);

// `text` cut to `width` columns; an ellipsis ends a text that was cut.
std::string Fit(std::string_view text, int width);

// `text` filled with blanks to `width` columns, on the left when `right_aligned`.
std::string Pad(std::string_view text, int width, bool right_aligned = false);

// Lines of at most `width` columns, broken at blanks.
std::vector<std::string> Wrap(std::string_view text, int width);

// `512 B`, `1.5 KiB`, `3.0 GiB`.
std::string HumanBytes(int64_t bytes);

// `0.35 s`, `12 s`, `4 min 05 s`, `2 h 07 min`, `3 d 04 h`.
std::string HumanDuration(double seconds);

// A duration as people write it: `90`, `90s`, `10m`, `1h30m`, `500ms`; seconds where no unit is
// given. INVALID_ARGUMENT for anything else and for negative durations.
absl::StatusOr<google::protobuf::Duration> ParseDuration(std::string_view text);

// A number of bytes as people write it: `4096`, `512M`, `4GiB`, `1.5 G` (factors of 1024).
// INVALID_ARGUMENT for anything else.
absl::StatusOr<int64_t> ParseBytes(std::string_view text);

// At most `digits` significant digits, without trailing zeros: `0.9333`, `1.2e-07`, `nan`.
std::string HumanNumber(double value, int digits = 4);

// Local time, as short as it stays clear at the time `now`: `14:05:12` today, `Nov 23 14:05` this
// year, else `2025-11-23`. Empty for a time that is not set.
std::string HumanTime(const google::protobuf::Timestamp& time, absl::Time now,
                      absl::TimeZone zone = absl::LocalTimeZone());

double Seconds(const google::protobuf::Duration& duration);
absl::Time ToTime(const google::protobuf::Timestamp& time);

// Those of `candidates` that `word` may be meant to be, nearest first, at most `limit`.
std::vector<std::string> NearestNames(std::string_view word,
                                      const std::vector<std::string>& candidates, size_t limit = 3);

// `; did you mean a, b or c?` for the nearest names, empty when there are none.
std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace trainyard::cli
