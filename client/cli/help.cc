#include "client/cli/help.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/text.h"

namespace trainyard::cli {
namespace {

constexpr int kLeftColumn = 28;
constexpr int kMostColumns = 100;

// `left` in the left column and `right` wrapped beside it; below it when `left` is too long.
std::string TwoColumns(const std::string& left, const std::string& right, int width) {
  const std::string indent(kLeftColumn, ' ');
  std::string text = absl::StrCat("  ", left);
  bool first = DisplayWidth(text) + 2 <= kLeftColumn;
  if (!first) text += "\n";
  for (const std::string& line : Wrap(right, std::max(20, width - kLeftColumn))) {
    text = first ? Pad(text, kLeftColumn) + line + "\n" : text + indent + line + "\n";
    first = false;
  }
  if (text.back() != '\n') text += "\n";
  return text;
}

}  // namespace

HelpFormatter::HelpFormatter(int width) : width_(std::min(width, kMostColumns)) {}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  std::string left = option->get_name(is_positional, true);
  const std::string type = option->get_type_name();
  if (!is_positional && option->get_items_expected_max() > 0 && !type.empty()) {
    const bool optional_value = option->get_items_expected_min() == 0;
    absl::StrAppend(&left, optional_value ? "[=" : " ", type, optional_value ? "]" : "");
  }
  std::string right = option->get_description();
  if (!option->get_envname().empty()) absl::StrAppend(&right, " [", option->get_envname(), "]");
  if (option->get_required() && !is_positional) absl::StrAppend(&right, " (required)");
  return TwoColumns(left, right, width_);
}

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  return TwoColumns(command->get_name(), command->get_description(), width_);
}

std::string HelpFormatter::make_description(const CLI::App* app) const {
  return absl::StrCat(absl::StrJoin(Wrap(app->get_description(), width_), "\n"), "\n");
}

std::string FooterOf(const std::string& examples) {
  std::string footer = "Examples:";
  for (const absl::string_view line : absl::StrSplit(examples, '\n')) {
    absl::StrAppend(&footer, "\n  ", line);
  }
  return footer;
}

}  // namespace trainyard::cli
