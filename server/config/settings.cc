#include "server/config/settings.h"

#include <cstdlib>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "proto/schema/violations.h"
#include "server/config/byte_size.h"
#include "server/config/listen_address.h"

#define TRAINYARD_TEXT(name, default_value, help) ABSL_FLAG(std::string, name, default_value, help);
#define TRAINYARD_INTEGER(name, default_value, minimum, maximum, help) \
  ABSL_FLAG(int64_t, name, default_value, help);
#define TRAINYARD_SECONDS(name, default_value, minimum, maximum, help) \
  ABSL_FLAG(double, name, default_value, "Seconds. " help);
#define TRAINYARD_BYTES(name, default_value, minimum, maximum, help) \
  ABSL_FLAG(trainyard::ByteSize, name, trainyard::ByteSize{default_value}, "Bytes. " help);
#define TRAINYARD_SWITCH(name, default_value, help) ABSL_FLAG(bool, name, default_value, help);
TRAINYARD_SETTINGS(TRAINYARD_TEXT, TRAINYARD_INTEGER, TRAINYARD_SECONDS, TRAINYARD_BYTES,
                   TRAINYARD_SWITCH)
#undef TRAINYARD_TEXT
#undef TRAINYARD_INTEGER
#undef TRAINYARD_SECONDS
#undef TRAINYARD_BYTES
#undef TRAINYARD_SWITCH

ABSL_FLAG(std::string, config, "", "File of settings, one `name = value` a line.");

namespace trainyard {
namespace {

const std::vector<std::string>& SettingNames() {
  static const auto& names = *new std::vector<std::string>{
#define TRAINYARD_NAME(name, ...) #name,
      TRAINYARD_SETTINGS(TRAINYARD_NAME, TRAINYARD_NAME, TRAINYARD_NAME, TRAINYARD_NAME,
                         TRAINYARD_NAME)
#undef TRAINYARD_NAME
  };
  return names;
}

bool IsSetting(const std::string& name) {
  for (const std::string& known : SettingNames()) {
    if (known == name) return true;
  }
  return false;
}

absl::Status SetFlag(const std::string& name, const std::string& value, const std::string& place) {
  std::string error;
  if (absl::FindCommandLineFlag(name)->ParseFrom(value, &error)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(place, ": '", value, "' is no value of ", name, ": ", error));
}

// The value of --config before the flags are parsed, else TRAINYARD_CONFIG.
std::string ConfigFile(int argc, char** argv, const Environment& environment) {
  std::string file = environment("TRAINYARD_CONFIG").value_or("");
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (argument == "--") break;
    if (!absl::ConsumePrefix(&argument, "--config") && !absl::ConsumePrefix(&argument, "-config")) {
      continue;
    }
    if (absl::ConsumePrefix(&argument, "=")) {
      file = std::string(argument);
    } else if (argument.empty() && i + 1 < argc) {
      file = argv[i + 1];
    }
  }
  return file;
}

absl::Status ReadConfigLine(absl::string_view line, const std::string& place) {
  line = absl::StripAsciiWhitespace(line);
  if (line.empty() || line.front() == '#') return absl::OkStatus();
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(line, absl::MaxSplits('=', 1));
  const std::string name(absl::StripAsciiWhitespace(parts.first));
  absl::string_view value = absl::StripAsciiWhitespace(parts.second);
  if (line.find('=') == absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(place, ": expected `name = value`"));
  }
  if (!IsSetting(name)) {
    return absl::InvalidArgumentError(absl::StrCat(place, ": there is no setting '", name, "'"));
  }
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    value = value.substr(1, value.size() - 2);
  }
  return SetFlag(name, std::string(value), place);
}

absl::Status ReadConfigFile(const std::string& file) {
  TY_ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    TY_RETURN_IF_ERROR(ReadConfigLine(line, absl::StrCat(file, ":", ++number)));
  }
  return absl::OkStatus();
}

void CheckRange(std::string_view name, double value, double minimum, double maximum,
                Violations& violations) {
  if (value >= minimum && value <= maximum) return;
  violations.Add(name, absl::StrCat(value, " is not from ", minimum, " to ", maximum));
}

void CheckListen(std::string_view name, const std::string& address, bool insecure,
                 Violations& violations) {
  if (!IsListenAddress(address)) {
    violations.Add(name, absl::StrCat("'", address, "' is not of the form HOST:PORT"));
  } else if (!IsLoopback(address) && !insecure) {
    violations.Add(
        name, absl::StrCat("'", address,
                           "' can be reached from other machines, and this version has neither "
                           "TLS nor authentication; listen on 127.0.0.1, or add --insecure "
                           "where the network itself is trusted"));
  }
}

void CheckOneOf(std::string_view name, const std::string& value,
                const std::vector<std::string_view>& allowed, Violations& violations) {
  std::string list;
  for (const std::string_view choice : allowed) {
    if (value == choice) return;
    absl::StrAppend(&list, list.empty() ? "" : ", ", std::string(choice));
  }
  violations.Add(name, absl::StrCat("'", value, "' is none of ", list));
}

}  // namespace

absl::Status ReadSettings(int argc, char** argv, const Environment& environment) {
  const std::string file = ConfigFile(argc, argv, environment);
  if (!file.empty()) TY_RETURN_IF_ERROR(ReadConfigFile(file));
  for (const std::string& name : SettingNames()) {
    const std::string variable = absl::StrCat("TRAINYARD_", absl::AsciiStrToUpper(name));
    const auto value = environment(variable);
    if (value.has_value()) TY_RETURN_IF_ERROR(SetFlag(name, *value, variable));
  }
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() <= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("'", rest[1], "' is no flag; flags are given as --name=value"));
}

absl::Status CheckSettings(const Settings& settings) {
  Violations violations;
  const auto number = [&](std::string_view name, auto value, auto minimum, auto maximum) {
    CheckRange(name, static_cast<double>(value), static_cast<double>(minimum),
               static_cast<double>(maximum), violations);
  };
#define TRAINYARD_IGNORE(...)
#define TRAINYARD_CHECK(name, default_value, minimum, maximum, help) \
  number(#name, settings.name, minimum, maximum);
  TRAINYARD_SETTINGS(TRAINYARD_IGNORE, TRAINYARD_CHECK, TRAINYARD_CHECK, TRAINYARD_CHECK,
                     TRAINYARD_IGNORE)
#undef TRAINYARD_IGNORE
#undef TRAINYARD_CHECK
  if (settings.data_dir.empty()) violations.Add("data_dir", "must be given");
  CheckListen("listen", settings.listen, settings.insecure, violations);
  if (!settings.metrics_listen.empty()) {
    CheckListen("metrics_listen", settings.metrics_listen, settings.insecure, violations);
  }
  CheckOneOf("log_format", settings.log_format, {"text", "json"}, violations);
  CheckOneOf("log_level", settings.log_level, {"debug", "info", "warning", "error"}, violations);
  return violations.ToStatus();
}

absl::StatusOr<Settings> CurrentSettings() {
  Settings settings;
#define TRAINYARD_PLAIN(name, ...) settings.name = absl::GetFlag(FLAGS_##name);
#define TRAINYARD_BYTES(name, ...) settings.name = absl::GetFlag(FLAGS_##name).bytes;
  TRAINYARD_SETTINGS(TRAINYARD_PLAIN, TRAINYARD_PLAIN, TRAINYARD_PLAIN, TRAINYARD_BYTES,
                     TRAINYARD_PLAIN)
#undef TRAINYARD_PLAIN
#undef TRAINYARD_BYTES
  TY_RETURN_IF_ERROR(CheckSettings(settings));
  return settings;
}

Environment ProcessEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

}  // namespace trainyard
