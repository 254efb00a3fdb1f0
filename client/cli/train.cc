// trainyard train ALGORITHM …
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/cli/commands.h"
#include "client/cli/errors.h"
#include "client/cli/follow.h"
#include "client/cli/resource_text.h"
#include "client/cli/train_request.h"
#include "client/cpp/status_macros.h"
#include "proto/schema/field_docs.h"

namespace trainyard::cli {
namespace {

// The options of one algorithm's command and its flags.
struct Train {
  TrainOptions options;
  std::vector<SpecFlag> flags;
};

absl::StatusOr<int> RunTrain(Context& context, const Train& train) {
  CLIENT_ASSIGN_OR_RETURN(const v1::CreateJobRequest request,
                          MakeTrainRequest(context, train.options, train.flags));
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  CLIENT_ASSIGN_OR_RETURN(const v1::Job job, client->CreateJob(request));
  if (train.options.validate_only) {
    context.Print(job, [] { return std::string("valid\n"); });
    return kSuccess;
  }
  if (train.options.follow || train.options.wait) {
    context.Say(absl::StrCat("job ", IdOf(job.name()), "\n"));
    return FollowJob(context, job.name(),
                     train.options.follow ? FollowMode::kDisplay : FollowMode::kSilent);
  }
  context.Print(job, [&] {
    return absl::StrCat("job ", IdOf(job.name()),
                        " is queued; follow it with\n  trainyard jobs watch ", IdOf(job.name()),
                        "\n");
  });
  return kSuccess;
}

void AddJobOptions(CLI::App& command, TrainOptions& options) {
  constexpr char kGroup[] = "Options of the job";
  command.add_option("--job-id", options.job_id, "Id of the job. Default: made by the server")
      ->type_name("ID")
      ->group(kGroup);
  command.add_option("--display-name", options.display_name, "A text for people")
      ->type_name("TEXT")
      ->group(kGroup);
  AddRepeated(command, "--label", options.labels, "A label. May be repeated")
      ->type_name("KEY=VALUE")
      ->group(kGroup);
  command.add_option("--priority", options.priority, "-100 to 100; higher ones start first")
      ->type_name("N")
      ->group(kGroup);
  command.add_option("--cpu-threads", options.cpu_threads, "CPU threads to use")
      ->type_name("N")
      ->group(kGroup);
  command.add_option("--gpus", options.gpus, "GPUs to use")->type_name("N")->group(kGroup);
  command.add_option("--memory", options.memory, "Most memory, for example 512M or 4GiB")
      ->type_name("BYTES")
      ->group(kGroup);
  command
      .add_option("--time-limit", options.time_limit, "Most running time, for example 90s or 10m")
      ->type_name("DURATION")
      ->group(kGroup);
  command
      .add_option("--cancel-grace-period", options.cancel_grace_period,
                  "Time to stop politely when cancelled")
      ->type_name("DURATION")
      ->group(kGroup);
  command
      .add_option("--max-attempts", options.max_attempts,
                  "Attempts when workers are lost. Default: 3")
      ->type_name("N")
      ->group(kGroup);
}

void AddCommonOptions(CLI::App& command, TrainOptions& options) {
  command.add_option("--dataset", options.dataset, "Data set: ID, ID@VERSION, or full name")
      ->type_name("DATASET");
  AddRepeated(command, "--target", options.targets,
              "Column to predict. May be repeated. Default: the column `target`, else the last")
      ->type_name("COLUMN");
  AddRepeated(command, "--set", options.assignments,
              "Set a field of the spec, for example cart.max_depth=5. May be repeated")
      ->type_name("FIELD=VALUE");
  command
      .add_option("--spec", options.spec_file,
                  "JSON or text-format file with the algorithm's spec, a TrainingSpec or a Job; "
                  "options override it")
      ->type_name("FILE");
  command.add_flag("--validate-only", options.validate_only, "Check everything, create no job");
  CLI::Option* wait =
      command.add_flag("--wait", options.wait, "Wait for the end and print the results");
  command.add_flag("--follow", options.follow, "Show live progress, and the results at the end")
      ->excludes(wait);
  AddJobOptions(command, options);
}

std::string ExamplesOf(const std::string& name, bool takes_data) {
  if (!takes_data) return absl::StrCat("trainyard train ", name, " --follow");
  return absl::StrCat("trainyard train ", name, " --dataset iris --target species --follow\n",
                      "trainyard --json train ", name, " --dataset iris --spec spec.json --wait\n",
                      "trainyard train ", name,
                      " --dataset iris@2 --label team=blue --validate-only");
}

void AddAlgorithm(CLI::App& train_command, Context& context, const std::string& algorithm,
                  bool with_flags) {
  const auto* member = v1::TrainingSpec::descriptor()->FindFieldByName(algorithm);
  auto train = std::make_shared<Train>();
  train->options.algorithm = algorithm;
  const std::string name = absl::StrReplaceAll(algorithm, {{"_", "-"}});
  const bool takes_data = member->message_type()->FindFieldByName("input") != nullptr;
  CLI::App& command = AddCommand(train_command, context, name, CommentOf(member->full_name()),
                                 ExamplesOf(name, takes_data),
                                 [&context, train] { return RunTrain(context, *train); });
  AddCommonOptions(command, train->options);
  if (with_flags) train->flags = AddSpecFlags(command, *member->message_type());
}

}  // namespace

void AddTrainCommand(CLI::App& app, Context& context, const std::vector<std::string>& words,
                     bool all_flags) {
  CLI::App& train =
      AddCommand(app, context, "train", "Submit a training job.",
                 "trainyard train hierarchical-shrinkage --dataset iris --target species --follow\n"
                 "trainyard train hierarchical-shrinkage --help",
                 {});
  const auto named = [&](const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  // Describing fields means parsing the whole API; only this command needs it.
  if (!all_flags && !named("train")) return;
  for (const std::string& algorithm : AlgorithmNames()) {
    const std::string name = absl::StrReplaceAll(algorithm, {{"_", "-"}});
    AddAlgorithm(train, context, algorithm, all_flags || named(name) || named(algorithm));
    if (name != algorithm) train.get_subcommand(name)->alias(algorithm);
  }
}

}  // namespace trainyard::cli
