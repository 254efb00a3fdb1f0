#include "client/cli/explain.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/errors.h"
#include "client/cli/explanation_data.h"
#include "client/cli/explanation_text.h"
#include "client/cli/text.h"
#include "client/cli/transfer_line.h"
#include "client/cpp/files.h"
#include "client/cpp/status_macros.h"

namespace trainyard::cli {
namespace {

const std::vector<std::string>& Methods() {
  static const auto* const kMethods = new std::vector<std::string>{
      "shap", "interventional", "impurity", "permutation", "dependence"};
  return *kMethods;
}

struct ExplainOptions {
  std::string model;
  std::string input;
  std::string dataset;
  std::string output;
  std::string svg;
  std::string method = "shap";
  std::vector<std::string> of;
  std::vector<std::string> features;
  int64_t rows = 0;
  int64_t seed = 0;
  bool interactions = false;
  std::string background;
  int32_t background_rows = 100;
  int32_t points = 50;
  bool individual = false;
  bool path_dependent = false;
  int32_t repeats = 5;
  std::string metric;
  std::string weight;
  TableReadFlags table;
};

// An option of a method, and whether it was given.
struct MethodOption {
  const char* name;
  bool given;
  std::vector<std::string> methods;  // that take it
};

absl::Status CheckOptions(const ExplainOptions& options) {
  const std::string& method = options.method;
  if (std::find(Methods().begin(), Methods().end(), method) == Methods().end()) {
    return UsageError(
        absl::StrCat("--method ", method, " is not known", DidYouMean(method, Methods())));
  }
  for (const MethodOption& option : std::vector<MethodOption>{
           {"--interactions", options.interactions, {"shap"}},
           {"--background", !options.background.empty(), {"interventional"}},
           {"--background-rows", options.background_rows != 100, {"interventional"}},
           {"--feature", !options.features.empty(), {"dependence"}},
           {"--points", options.points != 50, {"dependence"}},
           {"--individual", options.individual, {"dependence"}},
           {"--path-dependent", options.path_dependent, {"dependence"}},
           {"--repeats", options.repeats != 5, {"permutation"}},
           {"--metric", !options.metric.empty(), {"permutation"}},
           {"--weight", !options.weight.empty(), {"permutation"}},
           {"--seed", options.seed != 0, {"permutation", "interventional"}},
           {"--of", !options.of.empty(), {"shap", "interventional", "dependence"}}}) {
    const auto& methods = option.methods;
    if (option.given && std::find(methods.begin(), methods.end(), method) == methods.end()) {
      return UsageError(absl::StrCat(option.name, " is not for --method ", method));
    }
  }
  if (method == "dependence" && (options.features.empty() || options.features.size() > 2)) {
    return UsageError("--method dependence needs one or two --feature");
  }
  if (options.input.empty() == options.dataset.empty()) {
    return UsageError("exactly one of --input and --dataset is required");
  }
  return absl::OkStatus();
}

absl::Status FillImportance(const ExplainOptions& options, v1::ImportanceOptions& importance) {
  if (options.method == "impurity") {
    importance.set_kind(v1::ImportanceOptions::KIND_IMPURITY);
    return absl::OkStatus();
  }
  importance.set_kind(v1::ImportanceOptions::KIND_PERMUTATION);
  importance.set_repeats(options.repeats);
  importance.set_seed(options.seed);
  importance.set_weight_column(options.weight);
  if (options.metric.empty()) return absl::OkStatus();
  v1::ImportanceOptions::Metric metric;
  const std::string name = absl::StrCat("METRIC_", absl::AsciiStrToUpper(options.metric));
  if (!v1::ImportanceOptions::Metric_Parse(name, &metric)) {
    return UsageError(absl::StrCat("--metric ", options.metric,
                                   " is not known; r2, rmse, accuracy, log_loss and auc are"));
  }
  importance.set_metric(metric);
  return absl::OkStatus();
}

absl::StatusOr<v1::ExplainHeader> MakeHeader(const Context& context,
                                             const ExplainOptions& options) {
  CLIENT_RETURN_IF_ERROR(CheckOptions(options));
  v1::ExplainHeader header;
  CLIENT_ASSIGN_OR_RETURN(*header.mutable_name(), context.ModelNameOf(options.model));
  if (!options.dataset.empty()) {
    CLIENT_ASSIGN_OR_RETURN(*header.mutable_dataset(), context.DatasetNameOf(options.dataset));
  }
  CLIENT_RETURN_IF_ERROR(options.table.Apply(*header.mutable_table()));
  header.mutable_outputs()->Add(options.of.begin(), options.of.end());
  header.set_row_limit(options.rows);
  if (options.method == "impurity" || options.method == "permutation") {
    CLIENT_RETURN_IF_ERROR(FillImportance(options, *header.mutable_importance()));
  } else if (options.method == "dependence") {
    v1::DependenceOptions& dependence = *header.mutable_dependence();
    dependence.mutable_features()->Add(options.features.begin(), options.features.end());
    dependence.set_points(options.points);
    dependence.set_individual(options.individual);
    dependence.set_path_dependent(options.path_dependent);
  } else {
    v1::ShapOptions& shap = *header.mutable_shap();
    shap.set_interactions(options.interactions);
    if (options.method == "shap") return header;
    shap.set_method(v1::ShapOptions::METHOD_INTERVENTIONAL);
    shap.set_background_rows(options.background_rows);
    shap.set_seed(options.seed);
    if (!options.background.empty()) {
      CLIENT_ASSIGN_OR_RETURN(*shap.mutable_background_dataset(),
                              context.DatasetNameOf(options.background));
    }
  }
  return header;
}

absl::Status WriteSvg(const ExplanationData& data, const ExplainOptions& options,
                      const std::string& model) {
  const std::string svg = ExplanationSvg(data, model);
  if (svg.empty()) return UsageError("--svg draws the dependence on one --feature only");
  CLIENT_ASSIGN_OR_RETURN(const std::unique_ptr<AtomicFile> file, AtomicFile::Create(options.svg));
  CLIENT_RETURN_IF_ERROR(file->Write(svg));
  return file->Commit();
}

absl::StatusOr<int> Explain(Context& context, const ExplainOptions& options) {
  CLIENT_ASSIGN_OR_RETURN(const v1::ExplainHeader header, MakeHeader(context, options));
  if (!options.svg.empty() && options.features.size() > 1) {
    return UsageError("--svg draws the dependence on one --feature only");
  }
  std::unique_ptr<AtomicFile> file;
  if (!options.output.empty()) {
    CLIENT_ASSIGN_OR_RETURN(file, AtomicFile::Create(options.output));
  }
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  ExplanationData data;
  TransferLine line(context, "explaining");
  const absl::Status status = client->Explain(
      header, options.input,
      [&](const v1::ExplainResponse& message) {
        const std::string csv = data.Add(message);
        return file == nullptr ? absl::OkStatus() : file->Write(csv);
      },
      line.Callback());
  line.Clear();
  CLIENT_RETURN_IF_ERROR(status);
  if (file != nullptr) CLIENT_RETURN_IF_ERROR(file->Commit());
  const std::string model = header.name().substr(header.name().rfind('/') + 1);
  if (!options.svg.empty()) CLIENT_RETURN_IF_ERROR(WriteSvg(data, options, model));
  if (context.options.json) {
    WriteOut(ExplanationJson(data, header.name()));
    return kSuccess;
  }
  context.Say(ExplanationText(data, context.out));
  if (!options.output.empty()) context.Say(absl::StrCat(options.output, "\n"));
  if (!options.svg.empty()) context.Say(absl::StrCat(options.svg, "\n"));
  return kSuccess;
}

void AddMethodOptions(CLI::App& command, ExplainOptions& options) {
  command.add_flag("--interactions", options.interactions,
                   "shap: write interaction values of pairs of features");
  command
      .add_option("--background", options.background,
                  "interventional: data set of background rows. Default: the table itself")
      ->type_name("DATASET");
  command
      .add_option("--background-rows", options.background_rows,
                  "interventional: number of background rows")
      ->capture_default_str();
  AddRepeated(command, "--feature", options.features,
              "dependence: the feature; twice for a surface")
      ->type_name("NAME");
  command.add_option("--points", options.points, "dependence: most grid points per feature")
      ->capture_default_str();
  command.add_flag("--individual", options.individual, "dependence: curves of the rows as well");
  command.add_flag("--path-dependent", options.path_dependent,
                   "dependence: by the shares of the training rows, not over the table's rows");
  command.add_option("--repeats", options.repeats, "permutation: shuffles of each feature")
      ->capture_default_str();
  command
      .add_option("--metric", options.metric,
                  "permutation: r2, rmse, accuracy, log_loss or auc. Default: r2 or log_loss")
      ->type_name("METRIC");
  command.add_option("--weight", options.weight, "permutation: column of row weights")
      ->type_name("NAME");
  command.add_option("--seed", options.seed, "permutation, interventional: seed of the draws")
      ->capture_default_str();
}

}  // namespace

void AddExplainCommand(CLI::App& models, Context& context) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App& command = AddCommand(
      models, context, "explain", "Explain a tree model on a table.",
      "trainyard models explain MODEL --input new.csv --svg shap.svg --output shap.csv\n"
      "trainyard models explain MODEL --dataset iris --method permutation\n"
      "trainyard models explain MODEL --dataset iris --method dependence --feature petal_width",
      [&context, options] { return Explain(context, *options); });
  command.add_option("MODEL", options->model, "Id or full name of the model")->required();
  command.add_option("-i,--input", options->input, "Table to explain the model on")
      ->type_name("FILE");
  command.add_option("--dataset", options->dataset, "Data set to explain on, instead of --input")
      ->type_name("DATASET");
  command
      .add_option("--method", options->method,
                  "shap (path-dependent), interventional, impurity, permutation or dependence")
      ->type_name("METHOD")
      ->capture_default_str();
  command.add_option("-o,--output", options->output, "CSV file of all numbers to write")
      ->type_name("FILE");
  command
      .add_option("--svg", options->svg,
                  "Chart to write; SHAP values of all outputs, or those of --of")
      ->type_name("FILE");
  AddRepeated(command, "--of", options->of, "Target or class to explain. Default: all")
      ->type_name("NAME");
  command.add_option("--rows", options->rows, "Number of rows used, from the first. 0: all")
      ->capture_default_str();
  AddMethodOptions(command, *options);
  options->table.AddTo(command);
}

}  // namespace trainyard::cli
