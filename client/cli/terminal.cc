#include "client/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace trainyard::cli {
namespace {

constexpr int kUsualWidth = 80;
constexpr int kLeastWidth = 20;

const char* Code(Colour colour) {
  switch (colour) {
    case Colour::kPlain:
      return "";
    case Colour::kBold:
      return "\x1b[1m";
    case Colour::kDim:
      return "\x1b[2m";
    case Colour::kRed:
      return "\x1b[31m";
    case Colour::kGreen:
      return "\x1b[32m";
    case Colour::kYellow:
      return "\x1b[33m";
    case Colour::kCyan:
      return "\x1b[36m";
  }
  return "";
}

int WidthOf(int descriptor) {
  winsize size = {};
  if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col >= kLeastWidth) return size.ws_col;
  return kUsualWidth;
}

}  // namespace

Terminal Terminal::Of(int descriptor, bool allow_colours) {
  Terminal terminal;
  if (isatty(descriptor) == 0) return terminal;
  const char* kind = std::getenv("TERM");
  const bool dumb = kind == nullptr || std::string_view(kind) == "dumb";
  const char* no_color = std::getenv("NO_COLOR");
  terminal.interactive = !dumb;
  terminal.colours = allow_colours && !dumb && (no_color == nullptr || *no_color == '\0');
  terminal.width = WidthOf(descriptor);
  return terminal;
}

std::string Terminal::Paint(std::string_view text, Colour colour) const {
  if (!colours || colour == Colour::kPlain || text.empty()) return std::string(text);
  std::string painted = Code(colour);
  painted.append(text);
  painted.append("\x1b[0m");
  return painted;
}

}  // namespace trainyard::cli
