// What standard output can show.
#pragma once

#include <string>
#include <string_view>

namespace trainyard::cli {

enum class Colour { kPlain, kBold, kDim, kRed, kGreen, kYellow, kCyan };

// The properties of an output stream.
struct Terminal {
  // Whether somebody looks at it live: progress lines may overwrite themselves.
  bool interactive = false;
  // Whether colours may be used.
  bool colours = false;
  // Columns; tables are cut to them. Outside of a terminal there is no limit.
  int width = kUnlimited;

  static constexpr int kUnlimited = 1 << 20;

  // The terminal behind the file descriptor. Colours need a terminal that is not `dumb`, NO_COLOR
  // unset or empty, and `allow_colours`.
  static Terminal Of(int descriptor, bool allow_colours);

  // `text` in a colour, or as it is where colours are off.
  std::string Paint(std::string_view text, Colour colour) const;
};

}  // namespace trainyard::cli
