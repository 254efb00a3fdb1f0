#include "client/cli/commands.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_replace.h"
#include "client/cli/help.h"
#include "client/cpp/status_macros.h"

namespace trainyard::cli {

CLI::App& AddCommand(CLI::App& parent, Context& context, const std::string& name,
                     const std::string& description, const std::string& examples,
                     std::function<absl::StatusOr<int>()> action) {
  CLI::App& command = *parent.add_subcommand(name, description);
  command.fallthrough();
  command.footer(FooterOf(examples));
  if (action) {
    command.callback([&context, action = std::move(action)] { context.action = action; });
  } else {
    command.require_subcommand(1);
  }
  return command;
}

CLI::Option* AddRepeated(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                         const std::string& description) {
  return app.add_option(name, values, description)->allow_extra_args(false);
}

void AddListOptions(CLI::App& app, ListOptions& list) {
  app.add_option("--limit", list.limit, "Most elements to list. Default: 50")
      ->check(CLI::Range(1, 1000000))
      ->type_name("N");
  app.add_flag("--all", list.all, "List everything, whatever --limit says");
  app.add_option("--page-token", list.page_token,
                 "Go on where an earlier list ended: its next_page_token")
      ->type_name("TOKEN");
}

absl::StatusOr<std::string> ReadPages(
    const ListOptions& list, const std::function<int()>& count,
    const std::function<absl::StatusOr<std::string>(int page_size, const std::string& token)>&
        read) {
  constexpr int kLargestPage = 1000;
  std::string token = list.page_token;
  const int limit = list.all ? std::numeric_limits<int>::max() : list.limit;
  while (count() < limit) {
    CLIENT_ASSIGN_OR_RETURN(token, read(std::min(kLargestPage, limit - count()), token));
    if (token.empty()) break;
  }
  return token;
}

}  // namespace trainyard::cli
