#include "client/cli/completion.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/cli/app.h"
#include "client/cli/commands.h"
#include "client/cli/errors.h"
#include "client/cli/resource_text.h"
#include "client/cli/spec_values.h"
#include "client/cli/train_request.h"
#include "proto/schema/field_docs.h"

namespace trainyard::cli {
namespace {

constexpr char kBashScript[] = R"(# Completion of trainyard for bash:
#   source <(trainyard completion bash)
_trainyard() {
  local line="${COMP_LINE:0:COMP_POINT}" current="${COMP_WORDS[COMP_CWORD]}"
  local -a found
  mapfile -t found < <("${COMP_WORDS[0]}" __complete "$line" 2>/dev/null)
  COMPREPLY=()
  if [ "${#found[@]}" -eq 0 ]; then
    case "$current" in =) current="" ;; esac
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
    return
  fi
  # bash breaks words at = and : and wants only the part behind them.
  local word="${line##*[[:space:]]}" head=""
  case "$word" in *[=:]*) head="${word%"${word##*[=:]}"}" ;; esac
  local candidate
  for candidate in "${found[@]}"; do COMPREPLY+=("${candidate#"$head"}"); done
  case "${COMPREPLY[0]}" in *=) compopt -o nospace 2>/dev/null ;; esac
}
complete -F _trainyard trainyard
)";

bool StartsWith(const std::string& text, const std::string& prefix) {
  return absl::StartsWith(text, prefix);
}

const CLI::Option* FindOption(const CLI::App* app, const std::string& name) {
  for (; app != nullptr; app = app->get_parent()) {
    for (const CLI::Option* option : app->get_options()) {
      if (option->check_name(name)) return option;
    }
  }
  return nullptr;
}

const CLI::App* FindCommand(const CLI::App& app, const std::string& name) {
  const auto found =
      app.get_subcommands([&name](const CLI::App* command) { return command->check_name(name); });
  return found.empty() ? nullptr : found.front();
}

bool TakesValue(const CLI::Option& option) { return option.get_items_expected_min() > 0; }

// The spec message of an algorithm's command; null elsewhere.
const google::protobuf::Descriptor* SpecOf(const CLI::App* app) {
  const std::string name = absl::StrReplaceAll(app->get_name(), {{"-", "_"}});
  const auto* member = v1::TrainingSpec::descriptor()->FindFieldByName(name);
  return member == nullptr ? nullptr : member->message_type();
}

std::vector<std::string> EnumNames(const google::protobuf::EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0) names.push_back(ShortEnumName(*type.value(i)));
  }
  return names;
}

std::vector<std::string> FieldValues(const google::protobuf::Descriptor& spec,
                                     const std::string& path) {
  for (const FieldDoc& doc : DescribeFields(spec)) {
    if (doc.path != absl::StrReplaceAll(path, {{"-", "_"}})) continue;
    if (doc.type == "bool") return {"true", "false"};
    if (doc.descriptor->enum_type() != nullptr) return EnumNames(*doc.descriptor->enum_type());
  }
  return {};
}

std::vector<std::string> Prefixed(const std::string& prefix, std::vector<std::string> values) {
  for (std::string& value : values) value = prefix + value;
  return values;
}

// Values of an option, `typed` being what is there of it.
std::vector<std::string> OptionValues(const CLI::App* app, const CLI::Option& option,
                                      const std::string& typed, const IdLister& ids) {
  const std::string type = option.get_type_name();
  if (type == "DATASET") return ids(type);
  if (type == "KIND") return EnumNames(*v1::Dataset::Kind_descriptor());
  if (type == "METHOD") {
    return {"shap", "interventional", "impurity", "permutation", "dependence"};
  }
  if (type == "METRIC") return {"r2", "rmse", "accuracy", "log_loss", "auc"};
  if (type == "FORMAT") return EnumNames(*v1::TableReadOptions::Format_descriptor());
  const size_t equals = typed.find('=');
  if (type == "NAME=TYPE" && equals != std::string::npos) {
    return Prefixed(typed.substr(0, equals + 1), EnumNames(*v1::ColumnType_descriptor()));
  }
  const google::protobuf::Descriptor* spec = SpecOf(app);
  if (spec == nullptr) return {};
  if (type == "FIELD=VALUE") {
    if (equals != std::string::npos) {
      return Prefixed(typed.substr(0, equals + 1), FieldValues(*spec, typed.substr(0, equals)));
    }
    std::vector<std::string> fields = FieldPaths(*spec);
    for (std::string& field : fields) field += "=";
    return fields;
  }
  const std::string name = option.get_lnames().empty() ? "" : option.get_lnames()[0];
  const bool renamed = absl::StartsWith(name, "spec.");
  return FieldValues(*spec, renamed ? name.substr(5) : name);
}

std::vector<std::string> Commands(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!absl::StartsWith(command->get_name(), "__")) names.push_back(command->get_name());
  }
  return names;
}

std::vector<std::string> Options(const CLI::App* app) {
  std::vector<std::string> names;
  for (; app != nullptr; app = app->get_parent()) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

// Words that may stand at a positional place.
std::vector<std::string> Positionals(const CLI::App& app, size_t index, const IdLister& ids) {
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_positional() || index-- > 0) continue;
    const std::string name = option->get_name(true);
    if (name == "SHELL") return {"bash"};
    if (name == "ALGORITHM") {
      std::vector<std::string> names = AlgorithmNames();
      for (std::string& algorithm : names) {
        algorithm = absl::StrReplaceAll(algorithm, {{"_", "-"}});
      }
      return names;
    }
    if (name == "DATASET" || name == "JOB" || name == "MODEL") return ids(name);
    return {};
  }
  return {};
}

std::vector<std::string> ListIds(Client& client, const std::string& parent,
                                 const std::string& kind) {
  constexpr int kMost = 200;
  std::vector<std::string> ids;
  const auto take = [&ids](const auto& resources) {
    for (const auto& resource : resources) ids.push_back(IdOf(resource.name()));
  };
  const auto ask = [&](auto request, auto list) {
    request.set_parent(parent);
    request.set_page_size(kMost);
    return (client.*list)(request);
  };
  if (kind == "DATASET") {
    const auto list = ask(v1::ListDatasetsRequest(), &Client::ListDatasets);
    if (list.ok()) take(list->datasets());
  } else if (kind == "JOB") {
    const auto list = ask(v1::ListJobsRequest(), &Client::ListJobs);
    if (list.ok()) take(list->jobs());
  } else {
    const auto list = ask(v1::ListModelsRequest(), &Client::ListModels);
    if (list.ok()) take(list->models());
  }
  return ids;
}

// Asks the server that the line itself names, quietly and briefly.
IdLister ServerIds(const std::vector<std::string>& words) {
  Context defaults;
  std::string server = defaults.options.server;
  std::string project = defaults.options.project;
  if (const char* value = std::getenv("TRAINYARD_SERVER")) server = value;
  if (const char* value = std::getenv("TRAINYARD_PROJECT")) project = value;
  for (size_t i = 0; i < words.size(); ++i) {
    for (auto [name, target] : {std::pair{"--server", &server}, std::pair{"--project", &project}}) {
      const std::string with_value = absl::StrCat(name, "=");
      if (words[i] == name && i + 1 < words.size()) *target = words[i + 1];
      if (StartsWith(words[i], with_value)) *target = words[i].substr(with_value.size());
    }
  }
  return [server, project](const std::string& kind) -> std::vector<std::string> {
    ClientOptions options;
    options.call_timeout = absl::Milliseconds(800);
    options.retry.max_attempts = 1;
    options.check_version = false;
    const auto client = Client::Connect(server, options);
    if (!client.ok()) return {};
    return ListIds(**client, absl::StrCat("projects/", project), kind);
  };
}

}  // namespace

std::vector<std::string> SplitCommandLine(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool started = false;
  char quote = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote == 0 && (c == ' ' || c == '\t' || c == '\n')) {
      if (started) words.push_back(std::exchange(word, std::string()));
      started = false;
      continue;
    }
    started = true;
    if (quote != 0 && c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == '\\' && quote != '\'' && i + 1 < line.size()) {
      word += line[++i];
    } else {
      word += c;
    }
  }
  words.push_back(std::move(word));
  return words;
}

std::vector<std::string> Complete(const CLI::App& root, const std::vector<std::string>& words,
                                  const IdLister& ids) {
  if (words.size() < 2) return {};
  const CLI::App* app = &root;
  size_t positional = 0;
  const CLI::Option* pending = nullptr;  // the option whose value comes next
  for (size_t i = 1; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (pending != nullptr) {
      pending = nullptr;
    } else if (StartsWith(word, "-") && word.size() > 1) {
      const CLI::Option* option = FindOption(app, word.substr(0, word.find('=')));
      const bool waits = option != nullptr && word.find('=') == std::string::npos;
      pending = waits && TakesValue(*option) ? option : nullptr;
    } else if (const CLI::App* command = FindCommand(*app, word)) {
      app = command;
    } else {
      ++positional;
    }
  }
  const std::string& current = words.back();
  std::vector<std::string> candidates;
  const size_t equals = current.find('=');
  if (pending != nullptr) {
    candidates = OptionValues(app, *pending, current, ids);
  } else if (StartsWith(current, "--") && equals != std::string::npos) {
    if (const CLI::Option* option = FindOption(app, current.substr(0, equals))) {
      candidates = Prefixed(current.substr(0, equals + 1),
                            OptionValues(app, *option, current.substr(equals + 1), ids));
    }
  } else if (StartsWith(current, "-")) {
    candidates = Options(app);
  } else {
    candidates = Commands(*app);
    if (candidates.empty()) candidates = Positionals(*app, positional, ids);
  }
  std::vector<std::string> matching;
  for (std::string& candidate : candidates) {
    if (StartsWith(candidate, current)) matching.push_back(std::move(candidate));
  }
  std::sort(matching.begin(), matching.end());
  matching.erase(std::unique(matching.begin(), matching.end()), matching.end());
  return matching;
}

void AddCompletionCommands(CLI::App& app, Context& context) {
  auto shell = std::make_shared<std::string>("bash");
  AddCommand(app, context, "completion", "Print the script that completes commands in a shell.",
             "source <(trainyard completion bash)",
             [shell]() -> absl::StatusOr<int> {
               if (*shell != "bash") {
                 return UsageError(absl::StrCat("shell \"", *shell, "\" is not known; bash is"));
               }
               WriteOut(kBashScript);
               return kSuccess;
             })
      .add_option("SHELL", *shell, "bash")
      ->required();
  auto line = std::make_shared<std::string>();
  CLI::App* hidden = app.add_subcommand("__complete", "")->group("");
  hidden->add_option("LINE", *line);
  hidden->callback([&context, line] {
    context.action = [line]() -> absl::StatusOr<int> {
      const std::vector<std::string> words = SplitCommandLine(*line);
      Context other;
      const auto full = MakeApp(other, words);
      for (const std::string& candidate : Complete(*full, words, ServerIds(words))) {
        WriteOut(candidate + "\n");
      }
      return kSuccess;
    };
  });
}

}  // namespace trainyard::cli
