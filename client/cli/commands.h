// The commands. Each function adds one command with its subcommands to the program; what is chosen
// ends up in Context::action.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "absl/status/statusor.h"
#include "client/cli/context.h"

namespace trainyard::cli {

void AddDatasetsCommand(CLI::App& app, Context& context);
// Makes the flags of those algorithms only that occur in `words`; all of them when `all_flags`.
void AddTrainCommand(CLI::App& app, Context& context, const std::vector<std::string>& words,
                     bool all_flags = false);
void AddJobsCommand(CLI::App& app, Context& context);
void AddModelsCommand(CLI::App& app, Context& context);
void AddServerCommand(CLI::App& app, Context& context);
void AddCompletionCommands(CLI::App& app, Context& context);

// Adds a subcommand with examples at the end of its help; `{}` in them stands for the program's
// name and its command words.
CLI::App& AddCommand(CLI::App& parent, Context& context, const std::string& name,
                     const std::string& description, const std::string& examples,
                     std::function<absl::StatusOr<int>()> action);

// An option that may be given several times with one value each.
CLI::Option* AddRepeated(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                         const std::string& description);

// Options of lists.
struct ListOptions {
  int limit = 50;
  bool all = false;
  std::string page_token;
};
void AddListOptions(CLI::App& app, ListOptions& list);

// Reads pages until `list.limit` elements are there, or all. `read` gets the page size and token,
// and fills `out` further; it returns the next token.
absl::StatusOr<std::string> ReadPages(
    const ListOptions& list, const std::function<int()>& count,
    const std::function<absl::StatusOr<std::string>(int page_size, const std::string& token)>&
        read);

}  // namespace trainyard::cli
