// What somebody who follows a job sees of its events.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/plot.h"
#include "client/cli/terminal.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard::cli {

// Turns events into text. On an interactive terminal: log lines and changes of state, and below
// them one live line with phase, bar, rate, time left and the latest metrics. Otherwise plain
// lines: each change of state, each phase, log lines, and the progress at most every ten seconds of
// the job's own time. Also gathers the curve of each metric. Not thread-safe.
class FollowView {
 public:
  // `write` prints text as it is.
  FollowView(const std::string& job, Terminal terminal,
             std::function<void(const std::string&)> write);

  void OnEvent(const v1::JobEvent& event, absl::Time now);
  // Says something beside the events, such as that the connection was lost.
  void Say(const std::string& text);
  // Removes the live line.
  void Finish();

  // The curves gathered so far, by name of the metric.
  const std::map<std::string, Curve>& curves() const { return curves_; }

 private:
  void OnMetrics(const v1::MetricBatch& batch);
  void PrintLine(const std::string& line);
  void Draw(absl::Time now, absl::Time event_time);
  void PrintPlainProgress(absl::Time event_time);

  const std::string job_;
  const Terminal terminal_;
  const std::function<void(const std::string&)> write_;
  v1::Job::State state_ = v1::Job::STATE_UNSPECIFIED;
  v1::Progress progress_;
  std::vector<std::pair<std::string, double>> latest_;  // in the order of first sight
  std::map<std::string, Curve> curves_;
  bool line_shown_ = false;
  absl::Time last_drawn_ = absl::InfinitePast();
  absl::Time last_plain_ = absl::InfinitePast();
  std::string last_plain_phase_;
};

// The live line: `JOB  cross-validation  ██████░░░░  60%  12 folds/s  3 s left  loss 0.21`.
std::string ProgressText(const std::string& job, v1::Job::State state, const v1::Progress& progress,
                         const std::vector<std::pair<std::string, double>>& latest,
                         const Terminal& terminal);

}  // namespace trainyard::cli
