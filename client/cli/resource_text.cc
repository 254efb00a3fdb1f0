#include "client/cli/resource_text.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/spec_values.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace trainyard::cli {
namespace {

// A field of an enum type as its short name; empty for the value 0.
template <typename Enum>
std::string EnumText(Enum value) {
  const auto* descriptor =
      google::protobuf::GetEnumDescriptor<Enum>()->FindValueByNumber(static_cast<int>(value));
  if (descriptor == nullptr) return absl::StrCat(static_cast<int>(value));
  return descriptor->number() == 0 ? "" : ShortEnumName(*descriptor);
}

std::string OptionalNumber(bool present, double value) { return present ? HumanNumber(value) : ""; }

std::string SchemaText(const v1::TableSchema& schema, const Terminal& terminal) {
  TextTable table({{"column"},
                   {"type"},
                   {"missing", true},
                   {"distinct", true},
                   {"minimum", true},
                   {"mean", true},
                   {"maximum", true},
                   {"levels"}});
  for (const v1::ColumnSchema& column : schema.columns()) {
    const bool date = column.type() == v1::COLUMN_TYPE_DATE;
    const auto number = [&](bool present, double value) {
      if (!date || !present) return OptionalNumber(present, value);
      return absl::FormatTime("%Y-%m-%d", absl::FromUnixSeconds(static_cast<int64_t>(value)),
                              absl::UTCTimeZone());
    };
    table.AddRow(
        {Printable(column.name()), EnumText(column.type()), absl::StrCat(column.missing_count()),
         column.distinct_count() > 100000 ? ">100000" : absl::StrCat(column.distinct_count()),
         number(column.has_minimum(), column.minimum()), number(column.has_mean(), column.mean()),
         number(column.has_maximum(), column.maximum()),
         Printable(absl::StrJoin(column.levels(), ", "))});
  }
  return table.Render(terminal);
}

std::string LabelsText(const google::protobuf::Map<std::string, std::string>& labels) {
  std::vector<std::string> pairs;
  for (const auto& [key, value] : labels) pairs.push_back(absl::StrCat(key, "=", value));
  std::sort(pairs.begin(), pairs.end());
  return Printable(absl::StrJoin(pairs, " "));
}

std::string ResourcesText(const v1::ResourceRequest& resources) {
  std::vector<std::string> parts;
  if (resources.cpu_threads() > 0) parts.push_back(absl::StrCat(resources.cpu_threads(), " CPU"));
  if (resources.gpus() > 0) parts.push_back(absl::StrCat(resources.gpus(), " GPU"));
  if (resources.memory_bytes() > 0) parts.push_back(HumanBytes(resources.memory_bytes()));
  return absl::StrJoin(parts, ", ");
}

double RunSeconds(const v1::Job& job, absl::Time now) {
  if (!job.has_start_time()) return -1;
  const absl::Time end = job.has_end_time() ? ToTime(job.end_time()) : now;
  return absl::ToDoubleSeconds(end - ToTime(job.start_time()));
}

std::string RunTimeText(const v1::Job& job) {
  const double seconds = RunSeconds(job, absl::Now());
  return seconds < 0 ? "" : HumanDuration(seconds);
}

std::string AttemptsText(const v1::Job& job, const Terminal& terminal) {
  if (job.attempts_size() == 0) return "";
  std::vector<TextColumn> columns = {{"attempt", true}, {"started"}, {"took", true},
                                     {"memory", true},  {"end"},     {"error"}};
  const bool has_gpus = job.resources().gpus() > 0;
  if (has_gpus) columns.push_back({"GPUs"});
  TextTable table(std::move(columns));
  for (const v1::Attempt& attempt : job.attempts()) {
    const bool ended = attempt.has_end_time();
    std::string end = EnumText(attempt.end_cause());
    if (attempt.exit_signal() != 0) absl::StrAppend(&end, " (signal ", attempt.exit_signal(), ")");
    if (attempt.has_exit_code() && attempt.exit_code() != 0) {
      absl::StrAppend(&end, " (exit code ", attempt.exit_code(), ")");
    }
    std::vector<std::string> row = {
        IdOf(attempt.name()),
        HumanTime(attempt.start_time(), absl::Now()),
        ended ? HumanDuration(absl::ToDoubleSeconds(ToTime(attempt.end_time()) -
                                                    ToTime(attempt.start_time())))
              : "",
        attempt.peak_memory_bytes() > 0 ? HumanBytes(attempt.peak_memory_bytes()) : "",
        end,
        Printable(attempt.error().message())};
    if (has_gpus) row.push_back(absl::StrJoin(attempt.gpus(), " "));
    table.AddRow(std::move(row));
  }
  return absl::StrCat("\n", table.Render(terminal));
}

}  // namespace

std::string IdOf(const std::string& name) { return Printable(name.substr(name.rfind('/') + 1)); }

std::string MoreText(const std::string& next_page_token) {
  return next_page_token.empty() ? "" : "there are more: use --limit or --all\n";
}

std::string DatasetText(const v1::Dataset& dataset, const Terminal& terminal) {
  const v1::DatasetVersion& version = dataset.latest_version();
  KeyValueList list;
  list.Add("data set", Printable(dataset.name()));
  list.Add("about", Printable(dataset.display_name()));
  list.Add("kind", EnumText(dataset.kind()));
  list.Add("version", absl::StrCat(IdOf(version.name()), " of ", dataset.version_count(),
                                   "  stored ", HumanTime(version.create_time(), absl::Now())));
  list.Add("file",
           absl::StrCat(Printable(version.file_name()), "  ", HumanBytes(version.size_bytes())));
  list.Add("sha256", Printable(version.sha256()));
  if (!version.has_table()) return list.Render(terminal);
  list.Add("rows", absl::StrCat(version.table().row_count()));
  return absl::StrCat(list.Render(terminal), "\n", SchemaText(version.table(), terminal));
}

std::string DatasetsText(const v1::ListDatasetsResponse& response, const Terminal& terminal) {
  if (response.datasets().empty()) return "no data sets\n";
  TextTable table({{"id"},
                   {"kind"},
                   {"version", true},
                   {"rows", true},
                   {"columns", true},
                   {"size", true},
                   {"updated"},
                   {"about"}});
  for (const v1::Dataset& dataset : response.datasets()) {
    const v1::DatasetVersion& version = dataset.latest_version();
    const bool has_table = version.has_table();
    table.AddRow({IdOf(dataset.name()), EnumText(dataset.kind()),
                  absl::StrCat(dataset.version_count()),
                  has_table ? absl::StrCat(version.table().row_count()) : "",
                  has_table ? absl::StrCat(version.table().columns_size()) : "",
                  HumanBytes(version.size_bytes()), HumanTime(dataset.update_time(), absl::Now()),
                  Printable(dataset.display_name())});
  }
  return table.Render(terminal) + MoreText(response.next_page_token());
}

std::string PreviewText(const v1::PreviewDatasetResponse& preview, const Terminal& terminal) {
  std::vector<TextColumn> columns;
  for (const v1::ColumnSchema& column : preview.schema().columns()) {
    columns.push_back({Printable(column.name()), column.type() == v1::COLUMN_TYPE_NUMERIC});
  }
  TextTable table(std::move(columns));
  for (const v1::PreviewRow& row : preview.rows()) {
    std::vector<std::string> cells;
    for (const std::string& value : row.values()) cells.push_back(Printable(value));
    table.AddRow(std::move(cells));
  }
  return absl::StrCat(table.Render(terminal), preview.schema().row_count(), " rows\n");
}

std::string StateText(v1::Job::State state, const Terminal& terminal) {
  std::string text = absl::AsciiStrToUpper(EnumText(state));
  switch (state) {
    case v1::Job::STATE_SUCCEEDED:
      return terminal.Paint(text, Colour::kGreen);
    case v1::Job::STATE_FAILED:
      return terminal.Paint(text, Colour::kRed);
    case v1::Job::STATE_RUNNING:
    case v1::Job::STATE_STARTING:
      return terminal.Paint(text, Colour::kCyan);
    case v1::Job::STATE_CANCELLED:
    case v1::Job::STATE_CANCELLING:
      return terminal.Paint(text, Colour::kYellow);
    default:
      return text;
  }
}

std::string JobText(const v1::Job& job, const Terminal& terminal) {
  const absl::Time now = absl::Now();
  KeyValueList list;
  list.Add("job", Printable(job.name()));
  list.Add("about", Printable(job.display_name()));
  list.Add("algorithm", Printable(job.algorithm()));
  std::string state = StateText(job.state(), terminal);
  if (job.state() == v1::Job::STATE_QUEUED) {
    absl::StrAppend(&state, "  ", job.queue_position(), " ahead");
  }
  if (job.state() == v1::Job::STATE_RUNNING) {
    absl::StrAppend(&state, "  ", Printable(job.progress().phase()), " ",
                    HumanNumber(100 * job.progress().fraction(), 3), "%");
  }
  list.Add("state", state);
  list.Add("cause", EnumText(job.end_cause()));
  list.Add("error", Printable(job.error().message()));
  list.Add("model", Printable(job.model()));
  list.Add("created", HumanTime(job.create_time(), now));
  list.Add("started", HumanTime(job.start_time(), now));
  list.Add("ended", HumanTime(job.end_time(), now));
  list.Add("running time", RunTimeText(job));
  list.Add("priority", job.priority() == 0 ? "" : absl::StrCat(job.priority()));
  list.Add("resources", ResourcesText(job.resources()));
  if (job.has_time_limit()) list.Add("time limit", HumanDuration(Seconds(job.time_limit())));
  list.Add("labels", LabelsText(job.labels()));
  return list.Render(terminal) + AttemptsText(job, terminal);
}

std::string JobsText(const v1::ListJobsResponse& response, const Terminal& terminal) {
  if (response.jobs().empty()) return "no jobs\n";
  TextTable table(
      {{"id"}, {"algorithm"}, {"state"}, {"done", true}, {"created"}, {"took", true}, {"about"}});
  for (const v1::Job& job : response.jobs()) {
    const bool running = job.state() == v1::Job::STATE_RUNNING;
    std::string about = Printable(job.display_name());
    if (job.state() == v1::Job::STATE_FAILED) about = Printable(job.error().message());
    table.AddRow(
        {IdOf(job.name()), Printable(job.algorithm()), StateText(job.state(), terminal),
         running ? absl::StrCat(static_cast<int>(100 * job.progress().fraction()), "%") : "",
         HumanTime(job.create_time(), absl::Now()), RunTimeText(job), about});
  }
  return table.Render(terminal) + MoreText(response.next_page_token());
}

std::string ModelText(const v1::Model& model, const Terminal& terminal) {
  KeyValueList list;
  list.Add("model", Printable(model.name()));
  list.Add("about", Printable(model.display_name()));
  list.Add("algorithm", Printable(model.algorithm()));
  list.Add("job", Printable(model.job()));
  list.Add("created", HumanTime(model.create_time(), absl::Now()));
  list.Add("size", HumanBytes(model.size_bytes()));
  std::vector<std::string> names;
  for (const auto& column : model.manifest().features()) names.push_back(column.name());
  list.Add("features", Printable(absl::StrJoin(names, ", ")));
  names.clear();
  for (const auto& column : model.manifest().targets()) names.push_back(column.name());
  list.Add("targets", Printable(absl::StrJoin(names, ", ")));
  TextTable files({{"file"}, {"size", true}, {"sha256"}});
  for (const v1::ModelFile& file : model.files()) {
    files.AddRow({Printable(file.path()), HumanBytes(file.size_bytes()),
                  Printable(file.sha256().substr(0, 16))});
  }
  return list.Render(terminal) + (files.empty() ? "" : "\n" + files.Render(terminal));
}

std::string ModelsText(const v1::ListModelsResponse& response, const Terminal& terminal) {
  if (response.models().empty()) return "no models\n";
  TextTable table({{"id"}, {"algorithm"}, {"created"}, {"size", true}, {"about"}});
  for (const v1::Model& model : response.models()) {
    table.AddRow({IdOf(model.name()), Printable(model.algorithm()),
                  HumanTime(model.create_time(), absl::Now()), HumanBytes(model.size_bytes()),
                  Printable(model.display_name())});
  }
  return table.Render(terminal) + MoreText(response.next_page_token());
}

std::string ServerInfoText(const v1::ServerInfo& info, const Terminal& terminal) {
  KeyValueList list;
  list.Add("version", Printable(info.version()));
  list.Add("revision", Printable(info.revision()));
  list.Add("running since", HumanTime(info.start_time(), absl::Now()));
  list.Add("algorithms", Printable(absl::StrJoin(info.algorithms(), ", ")));
  const v1::ServerLimits& limits = info.limits();
  list.Add("limits", absl::StrCat("messages ", HumanBytes(limits.max_message_bytes()),
                                  ", data sets ", HumanBytes(limits.max_dataset_bytes()),
                                  ", predictions ", HumanBytes(limits.max_predict_bytes()),
                                  ", queued jobs ", limits.max_queued_jobs()));
  TextTable devices({{"device"}, {"kind"}, {"slots", true}, {"memory", true}, {"model"}, {"note"}});
  for (const v1::Device& device : info.devices()) {
    devices.AddRow({Printable(device.id()), EnumText(device.kind()),
                    absl::StrCat(device.slot_count()), HumanBytes(device.memory_bytes()),
                    Printable(device.model()), Printable(device.unavailable_reason())});
  }
  return list.Render(terminal) + (devices.empty() ? "" : "\n" + devices.Render(terminal));
}

std::string AlgorithmsText(const v1::ListAlgorithmsResponse& list, const Terminal& terminal) {
  TextTable table({{"algorithm"}, {"devices"}, {"title"}});
  for (const v1::Algorithm& algorithm : list.algorithms()) {
    std::vector<std::string> devices;
    for (const int kind : algorithm.devices()) {
      devices.push_back(EnumText(static_cast<v1::Device::Kind>(kind)));
    }
    table.AddRow({absl::StrReplaceAll(Printable(algorithm.name()), {{"_", "-"}}),
                  absl::StrJoin(devices, ", "), Printable(algorithm.title())});
  }
  return table.Render(terminal);
}

std::string AlgorithmText(const v1::Algorithm& algorithm, const Terminal& terminal) {
  KeyValueList list;
  list.Add("algorithm", Printable(algorithm.name()));
  list.Add("title", Printable(algorithm.title()));
  list.Add("citation", Printable(algorithm.citation()));
  TextTable table({{"field"}, {"type"}, {"default"}, {"range"}, {"description"}});
  for (const v1::SpecField& field : algorithm.fields()) {
    std::string range;
    if (field.has_minimum() || field.has_maximum()) {
      range = absl::StrCat(field.has_minimum() ? HumanNumber(field.minimum()) : "", " … ",
                           field.has_maximum() ? HumanNumber(field.maximum()) : "");
    }
    if (!field.unit().empty()) absl::StrAppend(&range, " ", Printable(field.unit()));
    table.AddRow({Printable(field.path()), Printable(field.type()),
                  field.required() ? "(required)" : Printable(field.default_value()), range,
                  Printable(field.description())});
  }
  return absl::StrCat(list.Render(terminal), "\n", table.Render(terminal));
}

std::string QueueText(const v1::Queue& queue, const Terminal& terminal) {
  KeyValueList list;
  list.Add("queued", absl::StrCat(queue.queued_count()));
  list.Add("running", absl::StrCat(queue.running_count()));
  list.Add("CPU threads", absl::StrCat(queue.in_use().cpu_threads(), " of ",
                                       queue.capacity().cpu_threads(), " in use"));
  list.Add("GPUs", absl::StrCat(queue.in_use().gpus(), " of ", queue.capacity().gpus(), " in use"));
  list.Add("memory", absl::StrCat(HumanBytes(queue.in_use().memory_bytes()), " of ",
                                  HumanBytes(queue.capacity().memory_bytes()), " in use"));
  if (queue.queued_count() > 0) {
    list.Add("longest wait", HumanDuration(queue.oldest_wait_seconds()));
  }
  std::vector<std::string> next;
  for (const std::string& name : queue.next_jobs()) next.push_back(IdOf(name));
  list.Add("next", absl::StrJoin(next, " "));
  return list.Render(terminal);
}

}  // namespace trainyard::cli
