#include "client/cli/follow.h"

#include <cstdio>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/errors.h"
#include "client/cli/follow_view.h"
#include "client/cli/interrupt.h"
#include "client/cli/json.h"
#include "client/cli/resource_text.h"
#include "client/cli/results.h"
#include "client/cli/text.h"
#include "client/cpp/status_macros.h"
#include "proto/schema/violations.h"

namespace trainyard::cli {
namespace {

// The curves of a job that was not displayed, as the server keeps them; none when they cannot be
// read.
std::map<std::string, Curve> ReadCurves(Client& client, const std::string& name) {
  constexpr int kPoints = 200;
  std::map<std::string, Curve> curves;
  v1::ListMetricsRequest request;
  request.set_name(name);
  request.set_max_points(kPoints);
  const auto response = client.ListMetrics(request);
  if (!response.ok()) return curves;
  for (const v1::MetricPoint& point : response->points()) {
    curves[point.name()].emplace_back(static_cast<double>(point.step()), point.value());
  }
  return curves;
}

std::string OutcomeText(const v1::Job& job, const std::map<std::string, Curve>& curves,
                        const Terminal& terminal) {
  std::string text;
  if (job.has_report()) {
    absl::StrAppend(&text, "\n", ReportText(job.report(), terminal));
    const std::string plot = CurveText(job.report(), curves, terminal);
    if (!plot.empty()) absl::StrAppend(&text, "\n", plot);
  }
  if (!job.model().empty()) {
    absl::StrAppend(&text, "\nmodel ", terminal.Paint(IdOf(job.model()), Colour::kBold),
                    "  (trainyard models download ", IdOf(job.model()), ")\n");
  }
  return text;
}

// The job after its end; a server that restarts at this moment is waited for.
absl::StatusOr<v1::Job> ReadEnded(Client& client, const std::string& name) {
  constexpr int kTries = 20;
  absl::StatusOr<v1::Job> job = client.GetJob(name);
  for (int i = 1; i < kTries && absl::IsUnavailable(job.status()); ++i) {
    absl::SleepFor(absl::Seconds(1));
    job = client.GetJob(name);
  }
  return job;
}

// After Ctrl-C: the job goes on without its watcher.
absl::StatusOr<int> Detach(const Context& context, const std::string& name) {
  if (context.options.json) {
    return WithReason(absl::CancelledError(absl::StrCat("interrupted; ", name, " goes on")),
                      kInterruptedReason);
  }
  context.Note(
      absl::StrCat("\ndetached; the job goes on. Follow it again with\n  trainyard jobs watch ",
                   IdOf(name), "\n"));
  return kInterrupted;
}

void PrintFailure(const Context& context, const v1::Job& job) {
  if (job.state() != v1::Job::STATE_FAILED) return;
  const absl::Status error = ErrorOf(job);
  std::string text = context.options.json ? ErrorToJson(error) : ErrorToText(error, context.err);
  if (!context.options.json && job.attempts_size() > 0) {
    const std::string& tail = job.attempts(job.attempts_size() - 1).stderr_tail();
    if (!tail.empty()) {
      absl::StrAppend(&text, "last output of the worker:\n");
      for (const absl::string_view line : absl::StrSplit(tail, '\n')) {
        if (!line.empty()) {
          absl::StrAppend(&text, "  ", Printable(std::string_view(line.data(), line.size())), "\n");
        }
      }
    }
  }
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace

absl::StatusOr<int> FollowJob(Context& context, const std::string& name, FollowMode mode,
                              int64_t from) {
  CLIENT_ASSIGN_OR_RETURN(Client * client, context.Connect());
  const bool display =
      mode == FollowMode::kDisplay && !context.options.json && !context.options.quiet;
  const bool lines = mode == FollowMode::kJsonLines;
  FollowView view(IdOf(name), context.out, [](const std::string& text) { WriteOut(text); });
  const InterruptGuard interrupt;
  WatchOptions options;
  options.from_sequence = from;
  options.stop = interrupt.token();
  options.on_event = [&](const v1::JobEvent& event) {
    if (display) view.OnEvent(event, absl::Now());
    if (lines) WriteOut(ToJson(event, true));
    return absl::OkStatus();
  };
  options.on_reconnect = [&](const absl::Status& why, absl::Duration) {
    if (display) {
      view.Say(
          context.out.Paint(absl::StrCat("connection lost (", Printable(std::string(why.message())),
                                         "); connecting again"),
                            Colour::kYellow));
    }
  };
  const absl::StatusOr<v1::Job::State> end = client->WatchJob(name, options);
  view.Finish();
  if (!end.ok() && interrupt.token().stop_requested()) return Detach(context, name);
  CLIENT_RETURN_IF_ERROR(end.status());
  CLIENT_ASSIGN_OR_RETURN(const v1::Job job, ReadEnded(*client, name));
  if (context.options.json && !lines) WriteOut(ToJson(job));
  if (!context.options.json && !context.options.quiet) {
    const bool read = !display && job.has_report();
    WriteOut(OutcomeText(job, read ? ReadCurves(*client, name) : view.curves(), context.out));
  }
  PrintFailure(context, job);
  return ExitCodeOf(*end);
}

}  // namespace trainyard::cli
