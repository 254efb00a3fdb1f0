// The program `trainyard`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "client/cli/context.h"

namespace trainyard::cli {

// The command line with all commands. `words` are the words of the call; `all_flags` makes the
// flags of every algorithm.
std::unique_ptr<CLI::App> MakeApp(Context& context, const std::vector<std::string>& words,
                                  bool all_flags = false);

// Runs the program with the words after its name; returns the exit code.
int Run(const std::vector<std::string>& words);

}  // namespace trainyard::cli
