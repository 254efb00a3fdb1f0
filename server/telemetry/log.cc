#include "server/telemetry/log.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace trainyard {
namespace {

LogOptions& Options() {
  static LogOptions& options = *new LogOptions();
  return options;
}

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

std::string_view NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "info";
}

// `text` as a JSON string. Bytes that are not ASCII pass: the log is UTF-8.
std::string Quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      absl::StrAppendFormat(&quoted, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

bool IsPlain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != '"' && c != '=' && c != '\\';
  });
}

void WriteToStandardError(std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
    if (written <= 0) return;
    line.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

void ConfigureLog(LogOptions options) { Options() = std::move(options); }

std::string FormatLogLine(LogFormat format, absl::Time time, LogLevel level,
                          std::string_view message, std::initializer_list<LogField> fields) {
  const std::string stamp = absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone());
  std::string line;
  if (format == LogFormat::kJson) {
    line = absl::StrCat("{\"time\":\"", stamp, "\",\"level\":\"", View(NameOf(level)),
                        "\",\"message\":", Quote(message));
    for (const auto& [key, value] : fields) {
      if (!value.empty()) absl::StrAppend(&line, ",", Quote(key), ":", Quote(value));
    }
    return line + "}\n";
  }
  line = absl::StrCat(stamp, " ", View(NameOf(level)), " ", View(message));
  for (const auto& [key, value] : fields) {
    if (value.empty()) continue;
    absl::StrAppend(&line, " ", View(key), "=", IsPlain(value) ? value : Quote(value));
  }
  return line + "\n";
}

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  const LogOptions& options = Options();
  if (level < options.level) return;
  const std::string line = FormatLogLine(options.format, absl::Now(), level, message, fields);
  options.sink ? options.sink(line) : WriteToStandardError(line);
}

}  // namespace trainyard
