#include "server/worker/command_line.h"

#include <functional>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace trainyard {

const char kWorkerUsageText[] =
    R"(trainyard-worker: trains one job attempt; started by trainyard-server.

  trainyard-worker --server=TARGET --attempt=NAME --token_fd=N --work_dir=DIR
                   [--give_up_after=DURATION] [--alive_interval=DURATION]
  trainyard-worker --ingest --file=FILE --cache=FILE [--threads=N] [--memory_bytes=N]
                   [--time_limit_seconds=N]   read a table (descriptors 3 and 4)
  trainyard-worker --probe [--result_fd=N]    print the processors it can use
  trainyard-worker --version

  --cgroup=DIR, any number of times: enter these control groups first.
)";

namespace {

using Mode = WorkerCommand::Mode;

template <typename Number>
std::function<bool(const std::string&)> ToNumber(Number& target) {
  return [&target](const std::string& value) {
    return absl::SimpleAtoi(value, &target) && target >= 0;
  };
}

template <typename Text>
std::function<bool(const std::string&)> ToText(Text& target) {
  return [&target](const std::string& value) {
    target = value;
    return !value.empty();
  };
}

std::function<bool(const std::string&)> ToDuration(absl::Duration& target) {
  return [&target](const std::string& value) {
    return absl::ParseDuration(value, &target) && target > absl::ZeroDuration();
  };
}

absl::Status CheckComplete(const WorkerCommand& command) {
  const auto need = [](bool given, const char* flag) {
    return given ? absl::OkStatus()
                 : absl::InvalidArgumentError(absl::StrCat(flag, " must be given"));
  };
  absl::Status status;
  if (command.mode == Mode::kTrain) {
    status.Update(need(!command.server.empty(), "--server"));
    status.Update(need(!command.worker.attempt.empty(), "--attempt"));
    status.Update(need(command.token_fd >= 0, "--token_fd"));
    status.Update(need(!command.worker.work_folder.empty(), "--work_dir"));
  } else if (command.mode == Mode::kIngest) {
    status.Update(need(!command.ingest.file.empty(), "--file"));
    status.Update(need(!command.ingest.cache_file.empty(), "--cache"));
  }
  return status;
}

}  // namespace

absl::StatusOr<WorkerCommand> ParseWorkerCommand(const std::vector<std::string>& arguments) {
  WorkerCommand command;
  const std::map<std::string, Mode> modes = {{"--ingest", Mode::kIngest},
                                             {"--probe", Mode::kProbe},
                                             {"--version", Mode::kVersion},
                                             {"--help", Mode::kHelp}};
  const std::map<std::string, std::function<bool(const std::string&)>> flags = {
      {"--server", ToText(command.server)},
      {"--attempt", ToText(command.worker.attempt)},
      {"--token_fd", ToNumber(command.token_fd)},
      {"--work_dir", ToText(command.worker.work_folder)},
      {"--give_up_after", ToDuration(command.worker.give_up_after)},
      {"--alive_interval", ToDuration(command.worker.alive_interval)},
      {"--file", ToText(command.ingest.file)},
      {"--cache", ToText(command.ingest.cache_file)},
      {"--threads", ToNumber(command.ingest.threads)},
      {"--memory_bytes", ToNumber(command.ingest.memory_bytes)},
      {"--time_limit_seconds", ToNumber(command.ingest.time_limit_seconds)},
      {"--result_fd", ToNumber(command.result_fd)},
      {"--cgroup",
       [&](const std::string& value) {
         command.control_groups.push_back(value);
         return !value.empty();
       }},
  };
  for (const std::string& argument : arguments) {
    if (const auto mode = modes.find(argument); mode != modes.end()) {
      command.mode = mode->second;
      continue;
    }
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(argument, absl::MaxSplits('=', 1));
    const auto flag = flags.find(parts.first);
    if (flag == flags.end()) {
      return absl::InvalidArgumentError(absl::StrCat("'", argument, "' is no argument"));
    }
    if (!flag->second(parts.second)) {
      return absl::InvalidArgumentError(absl::StrCat("'", argument, "' has a wrong value"));
    }
  }
  const absl::Status complete = CheckComplete(command);
  if (!complete.ok()) return complete;
  return command;
}

}  // namespace trainyard
