// trainyard datasets …
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/commands.h"
#include "client/cli/errors.h"
#include "client/cli/resource_text.h"
#include "client/cli/spec_values.h"
#include "client/cli/table.h"
#include "client/cli/text.h"
#include "client/cli/transfer_line.h"
#include "client/cpp/status_macros.h"
#include "proto/schema/resource_names.h"

namespace trainyard::cli {
namespace {

struct UploadOptions {
  std::string file;
  std::string id;
  std::string kind = "table";
  std::string display_name;
  TableReadFlags table;
};

absl::StatusOr<int> Upload(Context& context, const UploadOptions& options) {
  CLIENT_RETURN_IF_ERROR(AsUsageError(CheckResourceId(options.id), "--id"));
  v1::UploadDatasetHeader header;
  header.set_parent(context.Parent());
  header.set_dataset_id(options.id);
  header.set_display_name(options.display_name);
  CLIENT_RETURN_IF_ERROR(AsUsageError(SetField(header, "kind", options.kind), "--kind"));
  CLIENT_RETURN_IF_ERROR(options.table.Apply(*header.mutable_table()));
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  TransferLine line(context, "uploading");
  auto dataset = client->UploadDataset(options.file, header, line.Callback());
  line.Clear();
  CLIENT_RETURN_IF_ERROR(dataset.status());
  context.Print(*dataset, [&] { return DatasetText(*dataset, context.out); });
  return kSuccess;
}

void AddUpload(CLI::App& datasets, Context& context) {
  auto options = std::make_shared<UploadOptions>();
  CLI::App& command = AddCommand(
      datasets, context, "upload", "Store a file as a data set, or as a new version of one.",
      "trainyard datasets upload iris.csv --id iris\n"
      "trainyard datasets upload wine.csv --id wine --delimiter ';' --column-type "
      "quality=categorical\n"
      "trainyard datasets upload data.csv --id d --no-header --missing -999",
      [&context, options] { return Upload(context, *options); });
  command.add_option("FILE", options->file, "The file: CSV, LIBSVM or NPY, gzip or not")
      ->required();
  command.add_option("--id", options->id, "Id of the data set: small letters, digits and -")
      ->required()
      ->type_name("ID");
  command.add_option("--kind", options->kind, "What it holds: table, text, series, images")
      ->type_name("KIND");
  command.add_option("--display-name", options->display_name, "A text for people")
      ->type_name("TEXT");
  options->table.AddTo(command);
}

absl::StatusOr<int> List(Context& context, const ListOptions& options) {
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  v1::ListDatasetsResponse all;
  CLIENT_ASSIGN_OR_RETURN(
      *all.mutable_next_page_token(),
      ReadPages(
          options, [&] { return all.datasets_size(); },
          [&](int page_size, const std::string& token) -> absl::StatusOr<std::string> {
            v1::ListDatasetsRequest request;
            request.set_parent(context.Parent());
            request.set_page_size(page_size);
            request.set_page_token(token);
            CLIENT_ASSIGN_OR_RETURN(auto page, client->ListDatasets(request));
            all.MergeFrom(page);
            return page.next_page_token();
          }));
  context.Print(all, [&] { return DatasetsText(all, context.out); });
  return kSuccess;
}

absl::StatusOr<int> Show(Context& context, const std::string& id) {
  CLIENT_ASSIGN_OR_RETURN(const std::string name, context.DatasetNameOf(id));
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  CLIENT_ASSIGN_OR_RETURN(const v1::Dataset dataset, client->GetDataset(name));
  context.Print(dataset, [&] { return DatasetText(dataset, context.out); });
  return kSuccess;
}

absl::StatusOr<int> Preview(Context& context, const std::string& id, int64_t first, int rows) {
  v1::PreviewDatasetRequest request;
  CLIENT_ASSIGN_OR_RETURN(*request.mutable_name(), context.DatasetNameOf(id));
  request.set_first_row(first);
  request.set_row_count(rows);
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  CLIENT_ASSIGN_OR_RETURN(const auto response, client->PreviewDataset(request));
  context.Print(response, [&] { return PreviewText(response, context.out); });
  return kSuccess;
}

absl::StatusOr<int> Download(Context& context, const std::string& id, std::string output) {
  CLIENT_ASSIGN_OR_RETURN(const std::string name, context.DatasetNameOf(id));
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  CLIENT_ASSIGN_OR_RETURN(const v1::Dataset dataset, client->GetDataset(name));
  if (output.empty()) {
    CLIENT_ASSIGN_OR_RETURN(const DatasetName parsed, DatasetName::Parse(name));
    output = parsed.dataset;
  }
  TransferLine line(context, "downloading");
  const auto size = client->DownloadDataset(name, output, line.Callback());
  line.Clear();
  CLIENT_RETURN_IF_ERROR(size.status());
  context.Print(dataset, [&] { return absl::StrCat(output, "  ", HumanBytes(*size), "\n"); });
  return kSuccess;
}

absl::StatusOr<int> Delete(Context& context, const std::string& id) {
  v1::DeleteDatasetRequest request;
  CLIENT_ASSIGN_OR_RETURN(*request.mutable_name(), context.DatasetNameOf(id));
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  CLIENT_RETURN_IF_ERROR(client->DeleteDataset(request));
  context.Print(google::protobuf::Empty(),
                [&] { return absl::StrCat("deleted ", request.name(), "\n"); });
  return kSuccess;
}

}  // namespace

void AddDatasetsCommand(CLI::App& app, Context& context) {
  CLI::App& datasets = AddCommand(
      app, context, "datasets", "Store and look at training data.",
      "trainyard datasets upload iris.csv --id iris\ntrainyard datasets preview iris", {});
  AddUpload(datasets, context);
  auto list = std::make_shared<ListOptions>();
  AddListOptions(AddCommand(datasets, context, "list", "List data sets.",
                            "trainyard datasets list\ntrainyard --json datasets list --all",
                            [&context, list] { return List(context, *list); }),
                 *list);
  auto id = std::make_shared<std::string>();
  const auto add_id = [id](CLI::App& command) -> CLI::App& {
    command.add_option("DATASET", *id, "Id, ID@VERSION, or full name of the data set")->required();
    return command;
  };
  add_id(AddCommand(datasets, context, "show", "Show a data set and its columns.",
                    "trainyard datasets show iris\ntrainyard datasets show iris@2",
                    [&context, id] { return Show(context, *id); }));
  auto first = std::make_shared<int64_t>(0);
  auto rows = std::make_shared<int>(10);
  CLI::App& preview = add_id(AddCommand(
      datasets, context, "preview", "Show rows of a table.",
      "trainyard datasets preview iris\ntrainyard datasets preview iris --first 100 --rows 20",
      [=, &context] { return Preview(context, *id, *first, *rows); }));
  preview.add_option("--first", *first, "First row, from 0")->type_name("N");
  preview.add_option("--rows", *rows, "Number of rows, at most 1000. Default: 10")->type_name("N");
  auto output = std::make_shared<std::string>();
  add_id(AddCommand(datasets, context, "download", "Write the file as it was uploaded.",
                    "trainyard datasets download iris --output iris.csv",
                    [=, &context] { return Download(context, *id, *output); }))
      .add_option("-o,--output", *output, "File to write. Default: the data set's id")
      ->type_name("FILE");
  add_id(AddCommand(datasets, context, "delete", "Delete a data set with all its versions.",
                    "trainyard datasets delete iris",
                    [&context, id] { return Delete(context, *id); }));
}

}  // namespace trainyard::cli
