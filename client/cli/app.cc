#include "client/cli/app.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/cli/commands.h"
#include "client/cli/errors.h"
#include "client/cli/help.h"
#include "client/cli/text.h"
#include "client/cpp/version.h"

namespace trainyard::cli {
namespace {

constexpr char kExamples[] =
    "trainyard datasets upload iris.csv --id iris\n"
    "trainyard train hierarchical-shrinkage --dataset iris --target species --follow\n"
    "trainyard jobs list\n"
    "trainyard models predict MODEL --input new.csv --output predictions.csv";

bool Contains(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Option names know no `_`: --cart.max_depth is --cart.max-depth.
std::vector<std::string> WithHyphens(std::vector<std::string> words) {
  for (std::string& word : words) {
    if (word == "--") break;
    if (!absl::StartsWith(word, "--")) continue;
    const size_t end = std::min(word.find('='), word.size());
    std::replace(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(end), '_', '-');
  }
  return words;
}

const CLI::App* Innermost(const CLI::App* app) {
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  return app;
}

// Names that may stand where `app` met an argument it does not know.
std::vector<std::string> PossibleNames(const CLI::App& app, bool options) {
  std::vector<std::string> names;
  if (!options) {
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
      if (!absl::StartsWith(command->get_name(), "__")) names.push_back(command->get_name());
    }
    return names;
  }
  for (const CLI::App* level = &app; level != nullptr; level = level->get_parent()) {
    for (const CLI::Option* option : level->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

absl::Status UsageErrorOf(const CLI::ParseError& error, const CLI::App& app) {
  const CLI::App* command = Innermost(&app);
  std::string message = error.what();
  const std::vector<std::string> extras = app.remaining(true);
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr && !extras.empty()) {
    const std::string name = extras[0].substr(0, extras[0].find('='));
    const bool option = absl::StartsWith(name, "-");
    message = absl::StrCat(option ? "unknown option " : "unexpected argument ", name,
                           DidYouMean(name, PossibleNames(*command, option)));
  } else if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && !extras.empty() &&
             !command->get_subcommands([](const CLI::App*) { return true; }).empty()) {
    message = absl::StrCat("unknown command ", extras[0],
                           DidYouMean(extras[0], PossibleNames(*command, false)));
  }
  std::string path = command->get_name();
  for (const CLI::App* parent = command->get_parent(); parent != nullptr;
       parent = parent->get_parent()) {
    path = absl::StrCat(parent->get_name(), " ", path);
  }
  return UsageError(absl::StrCat(message, "\nsee ", path, " --help"));
}

int Fail(const Context& context, const absl::Status& status) {
  const std::string text =
      context.options.json ? ErrorToJson(status) : ErrorToText(status, context.err);
  std::fwrite(text.data(), 1, text.size(), stderr);
  return ExitCodeOf(status);
}

}  // namespace

std::unique_ptr<CLI::App> MakeApp(Context& context, const std::vector<std::string>& words,
                                  bool all_flags) {
  auto app = std::make_unique<CLI::App>("Trains models on a Trainyard server.", "trainyard");
  app->formatter(std::make_shared<HelpFormatter>(context.out.width));
  app->require_subcommand(1);
  app->set_version_flag("--version", std::string(ClientVersion()));
  GlobalOptions& options = context.options;
  app->add_option("--server", options.server,
                  "Address of the server: HOST:PORT or unix:PATH. Default: 127.0.0.1:7700")
      ->envname("TRAINYARD_SERVER")
      ->type_name("HOST:PORT");
  app->add_option("--project", options.project, "Project to work in. Default: default")
      ->envname("TRAINYARD_PROJECT")
      ->type_name("PROJECT");
  app->add_flag("--json", options.json,
                "Print one JSON document on standard output, errors as one on standard error");
  app->add_flag("-q,--quiet", options.quiet, "Print errors and asked-for data only");
  app->add_flag("--no-color", options.no_color, "Print without colours; so does NO_COLOR=1");
  app->footer(FooterOf(kExamples));
  AddDatasetsCommand(*app, context);
  AddTrainCommand(*app, context, words, all_flags);
  AddJobsCommand(*app, context);
  AddModelsCommand(*app, context);
  AddServerCommand(*app, context);
  AddCompletionCommands(*app, context);
  return app;
}

int Run(const std::vector<std::string>& given) {
  Context context;
  const std::vector<std::string> words = WithHyphens(given);
  const bool colours = !Contains(words, "--no-color");
  context.out = Terminal::Of(STDOUT_FILENO, colours);
  context.err = Terminal::Of(STDERR_FILENO, colours);
  const std::unique_ptr<CLI::App> app = MakeApp(context, words);
  try {
    app->parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::CallForHelp&) {
    WriteOut(app->help());
    return kSuccess;
  } catch (const CLI::CallForVersion& version) {
    WriteOut(absl::StrCat(version.what(), "\n"));
    return kSuccess;
  } catch (const CLI::ParseError& error) {
    context.options.json = Contains(words, "--json");
    return Fail(context, UsageErrorOf(error, *app));
  }
  const absl::StatusOr<int> code = context.action();
  return code.ok() ? *code : Fail(context, code.status());
}

}  // namespace trainyard::cli
