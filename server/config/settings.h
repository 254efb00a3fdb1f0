// The server's settings, from flags, environment and a config file.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config/settings_table.h"

namespace trainyard {

// One field for each entry of the table.
struct Settings {
#define TRAINYARD_TEXT(name, default_value, help) std::string name = default_value;
#define TRAINYARD_INTEGER(name, default_value, minimum, maximum, help) int64_t name = default_value;
#define TRAINYARD_SECONDS(name, default_value, minimum, maximum, help) double name = default_value;
#define TRAINYARD_SWITCH(name, default_value, help) bool name = default_value;
  TRAINYARD_SETTINGS(TRAINYARD_TEXT, TRAINYARD_INTEGER, TRAINYARD_SECONDS, TRAINYARD_INTEGER,
                     TRAINYARD_SWITCH)
#undef TRAINYARD_TEXT
#undef TRAINYARD_INTEGER
#undef TRAINYARD_SECONDS
#undef TRAINYARD_SWITCH
};

// Value of an environment variable, or nullopt.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// Sets the flags from the config file (`--config` or TRAINYARD_CONFIG; lines `name = value`, `#`
// begins a comment), then from the environment (`TRAINYARD_` and the name in upper case), then from
// the command line, so that a flag counts more than the environment, and that more than the file.
// An unknown flag ends the program with a message. Errors: NOT_FOUND (the file), INVALID_ARGUMENT
// (a key that is no setting, a value that does not parse, an argument that is no flag).
absl::Status ReadSettings(int argc, char** argv, const Environment& environment);

// What the flags hold. INVALID_ARGUMENT with a violation for every setting that is out of range or
// does not fit another.
absl::StatusOr<Settings> CurrentSettings();

// OK when the settings fit together; as CurrentSettings.
absl::Status CheckSettings(const Settings& settings);

// The environment of this process.
Environment ProcessEnvironment();

}  // namespace trainyard
