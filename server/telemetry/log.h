// The server's log: lines on standard error, as text or JSON.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "absl/time/time.h"

namespace trainyard {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
  // Where whole lines, with their newline, go; standard error if empty.
  std::function<void(std::string_view line)> sink;
};

// A value that belongs to a line. Usual keys: `job`, `attempt`, `dataset`, `model`, `request_id`.
using LogField = std::pair<std::string_view, std::string>;

// Sets the process's log. To be called before threads are started.
void ConfigureLog(LogOptions options);

// Writes a line when `level` is enabled. Fields with empty values are left out. Thread-safe; a line
// is written whole.
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields);

inline void LogDebug(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kDebug, message, fields);
}
inline void LogInfo(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kInfo, message, fields);
}
inline void LogWarning(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kWarning, message, fields);
}
inline void LogError(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kError, message, fields);
}

// One line as the log writes it: text (`TIME LEVEL message key=value …`, values quoted where they
// hold other than plain characters) or a JSON object (`time`, `level`, `message` and the fields).
std::string FormatLogLine(LogFormat format, absl::Time time, LogLevel level,
                          std::string_view message, std::initializer_list<LogField> fields);

}  // namespace trainyard
