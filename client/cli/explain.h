// trainyard models explain.
#pragma once

#include "CLI/App.hpp"
#include "client/cli/context.h"

namespace trainyard::cli {

// Adds the command `explain` to `models`.
void AddExplainCommand(CLI::App& models, Context& context);

}  // namespace trainyard::cli
