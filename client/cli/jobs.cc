// trainyard jobs …
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/errors.h"
#include "client/cli/follow.h"
#include "client/cli/plot.h"
#include "client/cli/resource_text.h"
#include "client/cli/results.h"
#include "client/cli/table.h"
#include "client/cli/text.h"
#include "client/cpp/status_macros.h"

namespace trainyard::cli {
namespace {

struct JobsListOptions {
  ListOptions list;
  std::string filter;
  std::string order_by;
};

absl::StatusOr<int> List(Context& context, const JobsListOptions& options) {
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  v1::ListJobsResponse all;
  CLIENT_ASSIGN_OR_RETURN(
      *all.mutable_next_page_token(),
      ReadPages(
          options.list, [&] { return all.jobs_size(); },
          [&](int page_size, const std::string& token) -> absl::StatusOr<std::string> {
            v1::ListJobsRequest request;
            request.set_parent(context.Parent());
            request.set_page_size(page_size);
            request.set_page_token(token);
            request.set_filter(options.filter);
            request.set_order_by(options.order_by);
            CLIENT_ASSIGN_OR_RETURN(auto page, client->ListJobs(request));
            all.MergeFrom(page);
            return page.next_page_token();
          }));
  context.Print(all, [&] { return JobsText(all, context.out); });
  return kSuccess;
}

absl::StatusOr<int> Show(Context& context, const std::string& id) {
  CLIENT_ASSIGN_OR_RETURN(const std::string name, context.JobNameOf(id));
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  CLIENT_ASSIGN_OR_RETURN(const v1::Job job, client->GetJob(name));
  context.Print(job, [&] {
    std::string text = JobText(job, context.out);
    if (!job.has_report()) return text;
    absl::StrAppend(&text, "\n", ReportText(job.report(), context.out));
    const std::string plot = CurveText(job.report(), {}, context.out);
    return plot.empty() ? text : absl::StrCat(text, "\n", plot);
  });
  return kSuccess;
}

absl::StatusOr<int> Watch(Context& context, const std::string& id, int64_t from) {
  CLIENT_ASSIGN_OR_RETURN(const std::string name, context.JobNameOf(id));
  return FollowJob(context, name,
                   context.options.json ? FollowMode::kJsonLines : FollowMode::kDisplay, from);
}

absl::StatusOr<int> Cancel(Context& context, const std::string& id) {
  v1::CancelJobRequest request;
  CLIENT_ASSIGN_OR_RETURN(*request.mutable_name(), context.JobNameOf(id));
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  CLIENT_ASSIGN_OR_RETURN(const v1::Job job, client->CancelJob(request));
  context.Print(job, [&] {
    return absl::StrCat(IdOf(job.name()), "  ", StateText(job.state(), context.out), "\n");
  });
  return kSuccess;
}

absl::StatusOr<int> Delete(Context& context, const std::string& id) {
  v1::DeleteJobRequest request;
  CLIENT_ASSIGN_OR_RETURN(*request.mutable_name(), context.JobNameOf(id));
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  CLIENT_RETURN_IF_ERROR(client->DeleteJob(request));
  context.Print(google::protobuf::Empty(),
                [&] { return absl::StrCat("deleted ", request.name(), "\n"); });
  return kSuccess;
}

std::string MetricsText(const std::map<std::string, Curve>& curves, const Terminal& terminal) {
  if (curves.empty()) return "no metrics\n";
  TextTable table({{"metric"},
                   {"points", true},
                   {"first", true},
                   {"last", true},
                   {"least", true},
                   {"greatest", true},
                   {"last step", true}});
  for (const auto& [name, curve] : curves) {
    const auto below = [](const auto& a, const auto& b) {
      return std::isnan(b.second) ? !std::isnan(a.second) : a.second < b.second;
    };
    const auto [least, greatest] = std::minmax_element(curve.begin(), curve.end(), below);
    table.AddRow({Printable(name), absl::StrCat(curve.size()), HumanNumber(curve.front().second),
                  HumanNumber(curve.back().second), HumanNumber(least->second),
                  HumanNumber(greatest->second), HumanNumber(curve.back().first)});
  }
  const std::string plot = CurveText(v1::Report(), curves, terminal);
  return table.Render(terminal) + (plot.empty() ? "" : "\n" + plot);
}

absl::StatusOr<int> Metrics(Context& context, const std::string& id,
                            const std::vector<std::string>& names, int max_points) {
  v1::ListMetricsRequest request;
  CLIENT_ASSIGN_OR_RETURN(*request.mutable_name(), context.JobNameOf(id));
  for (const std::string& name : names) request.add_metrics(ValidUtf8(name));
  request.set_max_points(max_points);
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  v1::ListMetricsResponse all;
  do {
    CLIENT_ASSIGN_OR_RETURN(const auto page, client->ListMetrics(request));
    all.MergeFrom(page);
    all.set_next_page_token(page.next_page_token());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  context.Print(all, [&] {
    std::map<std::string, Curve> curves;
    for (const v1::MetricPoint& point : all.points()) {
      curves[point.name()].emplace_back(static_cast<double>(point.step()), point.value());
    }
    return MetricsText(curves, context.out);
  });
  return kSuccess;
}

void AddList(CLI::App& jobs, Context& context) {
  auto options = std::make_shared<JobsListOptions>();
  CLI::App& list = AddCommand(jobs, context, "list", "List jobs, newest first.",
                              "trainyard jobs list --filter 'state = RUNNING'\n"
                              "trainyard jobs list --filter 'algorithm = hierarchical_shrinkage "
                              "AND labels.team = \"blue\"'\n"
                              "trainyard jobs list --order-by 'priority desc' --limit 10",
                              [&context, options] { return List(context, *options); });
  list.add_option("--filter", options->filter,
                  "Conditions joined by AND over state, algorithm, priority, create_time, "
                  "display_name and labels.KEY")
      ->type_name("FILTER");
  list.add_option("--order-by", options->order_by,
                  "create_time, update_time or priority; ` desc` behind it reverses. Default: "
                  "create_time desc")
      ->type_name("FIELD");
  AddListOptions(list, options->list);
}

}  // namespace

void AddJobsCommand(CLI::App& app, Context& context) {
  CLI::App& jobs = AddCommand(app, context, "jobs", "Look at and control training jobs.",
                              "trainyard jobs list\ntrainyard jobs watch JOB", {});
  AddList(jobs, context);
  auto id = std::make_shared<std::string>();
  const auto add_id = [id](CLI::App& command) -> CLI::App& {
    command.add_option("JOB", *id, "Id or full name of the job")->required();
    return command;
  };
  add_id(AddCommand(jobs, context, "show", "Show a job and what it found out.",
                    "trainyard jobs show JOB\ntrainyard --json jobs show JOB",
                    [&context, id] { return Show(context, *id); }));
  auto from = std::make_shared<int64_t>(1);
  add_id(AddCommand(jobs, context, "watch",
                    "Follow a job to its end; with --json one JSON object a line for each event.",
                    "trainyard jobs watch JOB\ntrainyard --json jobs watch JOB --from 100",
                    [=, &context] { return Watch(context, *id, *from); }))
      .add_option("--from", *from, "Number of the first event. Default: 1, the beginning")
      ->type_name("N");
  add_id(AddCommand(jobs, context, "cancel", "Ask a job to stop.", "trainyard jobs cancel JOB",
                    [&context, id] { return Cancel(context, *id); }));
  add_id(AddCommand(jobs, context, "delete", "Delete an ended job; its model stays.",
                    "trainyard jobs delete JOB", [&context, id] { return Delete(context, *id); }));
  auto names = std::make_shared<std::vector<std::string>>();
  auto max_points = std::make_shared<int>(0);
  CLI::App& metrics =
      add_id(AddCommand(jobs, context, "metrics", "Show what a job measured.",
                        "trainyard jobs metrics JOB --metric validation/log_loss --max-points 100",
                        [=, &context] { return Metrics(context, *id, *names, *max_points); }));
  AddRepeated(metrics, "--metric", *names, "Name of a metric. May be repeated. Default: all")
      ->type_name("NAME");
  metrics.add_option("--max-points", *max_points, "Thin each metric to so many points")
      ->type_name("N");
}

}  // namespace trainyard::cli
