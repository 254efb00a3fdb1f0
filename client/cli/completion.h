// What may come next on a command line.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"

namespace trainyard::cli {

// The words of a command line up to the cursor, with the shell's quotes and backslashes taken off;
// the last one, possibly empty, is the word being typed.
std::vector<std::string> SplitCommandLine(std::string_view line);

// Lists the ids of resources of a kind: `DATASET`, `JOB` or `MODEL`.
using IdLister = std::function<std::vector<std::string>(const std::string& kind)>;

// The words that the last of `words` (the first is the program) may become: subcommands, options,
// values of enums and of `--set`, ids of resources. Files are left to the shell: nothing is
// returned for them.
std::vector<std::string> Complete(const CLI::App& app, const std::vector<std::string>& words,
                                  const IdLister& ids);

}  // namespace trainyard::cli
