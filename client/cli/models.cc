// trainyard models …
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/cli/commands.h"
#include "client/cli/errors.h"
#include "client/cli/explain.h"
#include "client/cli/json.h"
#include "client/cli/resource_text.h"
#include "client/cli/results.h"
#include "client/cli/text.h"
#include "client/cli/transfer_line.h"
#include "client/cpp/files.h"
#include "client/cpp/status_macros.h"

namespace trainyard::cli {
namespace {

absl::StatusOr<int> List(Context& context, const ListOptions& options) {
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  v1::ListModelsResponse all;
  CLIENT_ASSIGN_OR_RETURN(
      *all.mutable_next_page_token(),
      ReadPages(
          options, [&] { return all.models_size(); },
          [&](int page_size, const std::string& token) -> absl::StatusOr<std::string> {
            v1::ListModelsRequest request;
            request.set_parent(context.Parent());
            request.set_page_size(page_size);
            request.set_page_token(token);
            CLIENT_ASSIGN_OR_RETURN(auto page, client->ListModels(request));
            all.MergeFrom(page);
            return page.next_page_token();
          }));
  context.Print(all, [&] { return ModelsText(all, context.out); });
  return kSuccess;
}

absl::StatusOr<int> Show(Context& context, const std::string& id) {
  CLIENT_ASSIGN_OR_RETURN(const std::string name, context.ModelNameOf(id));
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  CLIENT_ASSIGN_OR_RETURN(const v1::Model model, client->GetModel(name));
  context.Print(model, [&] {
    std::string text = ModelText(model, context.out);
    if (!model.has_report()) return text;
    return absl::StrCat(text, "\n", ReportText(model.report(), context.out));
  });
  return kSuccess;
}

absl::StatusOr<int> Download(Context& context, const std::string& id, std::string folder,
                             bool replace) {
  CLIENT_ASSIGN_OR_RETURN(const std::string name, context.ModelNameOf(id));
  if (folder.empty()) folder = name.substr(name.rfind('/') + 1);
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  TransferLine line(context, "downloading");
  const auto model = client->DownloadModel(name, folder, replace, line.Callback());
  line.Clear();
  CLIENT_RETURN_IF_ERROR(model.status());
  context.Print(*model, [&] {
    std::string text;
    for (const v1::ModelFile& file : model->files()) {
      absl::StrAppend(&text, folder, "/", Printable(file.path()), "  ",
                      HumanBytes(file.size_bytes()), "\n");
    }
    return text;
  });
  return kSuccess;
}

absl::StatusOr<int> Delete(Context& context, const std::string& id) {
  v1::DeleteModelRequest request;
  CLIENT_ASSIGN_OR_RETURN(*request.mutable_name(), context.ModelNameOf(id));
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  CLIENT_RETURN_IF_ERROR(client->DeleteModel(request));
  context.Print(google::protobuf::Empty(),
                [&] { return absl::StrCat("deleted ", request.name(), "\n"); });
  return kSuccess;
}

// Names in a tree are whatever a table had.
std::string PrintableLines(std::string_view text) {
  std::string lines;
  for (const absl::string_view line :
       absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    absl::StrAppend(&lines, Printable(std::string(line)), "\n");
  }
  return lines;
}

struct TreeOptions {
  std::string model;
  int64_t tree = 0;
  std::string format = "text";
};

absl::StatusOr<int> PrintTree(Context& context, const TreeOptions& options) {
  v1::PrintTreeRequest request;
  CLIENT_ASSIGN_OR_RETURN(*request.mutable_name(), context.ModelNameOf(options.model));
  v1::PrintTreeRequest::Format format;
  if (!v1::PrintTreeRequest::Format_Parse(
          absl::StrCat("FORMAT_", absl::AsciiStrToUpper(options.format)), &format) ||
      format == v1::PrintTreeRequest::FORMAT_UNSPECIFIED) {
    return UsageError(
        absl::StrCat("--format ", options.format, " is not known; text, dot and json are"));
  }
  request.set_tree(options.tree);
  request.set_format(format);
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  CLIENT_ASSIGN_OR_RETURN(const v1::PrintTreeResponse tree, client->PrintTree(request));
  context.Print(tree, [&] {
    const absl::string_view text = absl::StripSuffix(tree.text(), "\n");
    return format == v1::PrintTreeRequest::FORMAT_TEXT ? PrintableLines({text.data(), text.size()})
                                                       : absl::StrCat(text, "\n");
  });
  return kSuccess;
}

void AddTree(CLI::App& models, Context& context) {
  auto options = std::make_shared<TreeOptions>();
  CLI::App& command = AddCommand(models, context, "tree", "Print one tree of a model.",
                                 "trainyard models tree MODEL\n"
                                 "trainyard models tree MODEL --tree 3 --format dot | dot -Tsvg",
                                 [&context, options] { return PrintTree(context, *options); });
  command.add_option("MODEL", options->model, "Id or full name of the model")->required();
  command.add_option("--tree", options->tree, "Number of the tree, from 0. Default: 0")
      ->type_name("NUMBER");
  command
      .add_option("--format", options->format,
                  "text (cut after 2 MiB), dot (Graphviz) or json. Default: text")
      ->type_name("FORMAT");
}

struct PredictOptions {
  std::string model;
  std::string input;
  std::string dataset;
  std::string output;
  TableReadFlags table;
};

absl::StatusOr<int> Predict(Context& context, const PredictOptions& options) {
  const bool to_stdout = options.output.empty() || options.output == "-";
  if (to_stdout && context.options.json) {
    return UsageError("--output is required with --json, which prints one JSON document");
  }
  v1::PredictTableHeader header;
  CLIENT_ASSIGN_OR_RETURN(*header.mutable_name(), context.ModelNameOf(options.model));
  if (options.input.empty() == options.dataset.empty()) {
    return UsageError("exactly one of --input and --dataset is required");
  }
  if (options.input.empty()) {
    CLIENT_ASSIGN_OR_RETURN(*header.mutable_dataset(), context.DatasetNameOf(options.dataset));
  }
  CLIENT_RETURN_IF_ERROR(options.table.Apply(*header.mutable_table()));
  std::unique_ptr<AtomicFile> file;
  if (!to_stdout) {
    CLIENT_ASSIGN_OR_RETURN(file, AtomicFile::Create(options.output));
  }
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  TransferLine line(context, "predicting");
  const absl::StatusOr<int64_t> rows = client->Predict(
      header, options.input,
      [&](std::string_view data) {
        if (file != nullptr) return file->Write(data);
        WriteOut(data);
        return absl::OkStatus();
      },
      to_stdout ? ProgressCallback() : line.Callback());
  line.Clear();
  CLIENT_RETURN_IF_ERROR(rows.status());
  if (file == nullptr) return kSuccess;
  CLIENT_RETURN_IF_ERROR(file->Commit());
  if (context.options.json) {
    WriteOut(absl::StrCat("{\"model\": ", JsonQuote(header.name()), ", \"row_count\": \"", *rows,
                          "\", \"output\": ", JsonQuote(options.output), "}\n"));
  }
  context.Say(absl::StrCat(options.output, "  ", *rows, " rows\n"));
  return kSuccess;
}

void AddPredict(CLI::App& models, Context& context) {
  auto options = std::make_shared<PredictOptions>();
  CLI::App& command =
      AddCommand(models, context, "predict", "Apply a model to a table.",
                 "trainyard models predict MODEL --input new.csv --output predictions.csv\n"
                 "trainyard models predict MODEL --dataset iris > predictions.csv",
                 [&context, options] { return Predict(context, *options); });
  command.add_option("MODEL", options->model, "Id or full name of the model")->required();
  command.add_option("-i,--input", options->input, "Table to predict on")->type_name("FILE");
  command.add_option("--dataset", options->dataset, "Data set to predict on, instead of --input")
      ->type_name("DATASET");
  command.add_option("-o,--output", options->output, "CSV file to write. Default: standard output")
      ->type_name("FILE");
  options->table.AddTo(command);
}

}  // namespace

void AddModelsCommand(CLI::App& app, Context& context) {
  CLI::App& models = AddCommand(app, context, "models", "Look at, fetch and apply trained models.",
                                "trainyard models list\ntrainyard models download MODEL", {});
  auto list = std::make_shared<ListOptions>();
  AddListOptions(AddCommand(models, context, "list", "List models, newest first.",
                            "trainyard models list --limit 10",
                            [&context, list] { return List(context, *list); }),
                 *list);
  auto id = std::make_shared<std::string>();
  const auto add_id = [id](CLI::App& command) -> CLI::App& {
    command.add_option("MODEL", *id, "Id or full name of the model")->required();
    return command;
  };
  add_id(AddCommand(models, context, "show", "Show a model, its files and its report.",
                    "trainyard models show MODEL", [&context, id] { return Show(context, *id); }));
  auto folder = std::make_shared<std::string>();
  auto replace = std::make_shared<bool>(false);
  CLI::App& download =
      add_id(AddCommand(models, context, "download", "Write the model folder.",
                        "trainyard models download MODEL --output models/iris",
                        [=, &context] { return Download(context, *id, *folder, *replace); }));
  download.add_option("-o,--output", *folder, "Folder to make. Default: the model's id")
      ->type_name("FOLDER");
  download.add_flag("--replace", *replace, "Replace the folder where it exists");
  AddTree(models, context);
  AddPredict(models, context);
  AddExplainCommand(models, context);
  add_id(AddCommand(models, context, "delete", "Delete a model.", "trainyard models delete MODEL",
                    [&context, id] { return Delete(context, *id); }));
}

}  // namespace trainyard::cli
