#include "client/cli/follow_view.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/cli/resource_text.h"
#include "client/cli/text.h"

namespace trainyard::cli {
namespace {

constexpr int kBarCells = 20;
constexpr size_t kMostCurvePoints = 20000;
constexpr absl::Duration kPlainInterval = absl::Seconds(10);
constexpr absl::Duration kRedraw = absl::Milliseconds(80);

std::string Bar(double fraction, const Terminal& terminal) {
  const double share = std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0;
  const int full = static_cast<int>(share * kBarCells);
  std::string done;
  std::string left;
  for (int i = 0; i < kBarCells; ++i) (i < full ? done : left) += i < full ? "█" : "░";
  return terminal.Paint(done, Colour::kGreen) + terminal.Paint(left, Colour::kDim);
}

Colour ColourOf(v1::LogLine::Severity severity) {
  switch (severity) {
    case v1::LogLine::SEVERITY_ERROR:
      return Colour::kRed;
    case v1::LogLine::SEVERITY_WARNING:
      return Colour::kYellow;
    case v1::LogLine::SEVERITY_DEBUG:
      return Colour::kDim;
    default:
      return Colour::kPlain;
  }
}

// The metrics worth a place on one line: those of the whole before those of its parts, such as
// folds.
std::vector<std::pair<std::string, double>> ForOneLine(
    std::vector<std::pair<std::string, double>> latest) {
  constexpr size_t kMost = 6;
  std::stable_sort(latest.begin(), latest.end(), [](const auto& a, const auto& b) {
    return std::count(a.first.begin(), a.first.end(), '/') <
           std::count(b.first.begin(), b.first.end(), '/');
  });
  if (latest.size() > kMost) latest.resize(kMost);
  return latest;
}

std::string StateChangeText(const v1::StateChange& change, const Terminal& terminal) {
  std::string text = StateText(change.to(), terminal);
  if (!change.reason().empty()) absl::StrAppend(&text, "  ", Printable(change.reason()));
  if (change.has_error() && change.error().message() != change.reason()) {
    absl::StrAppend(&text, "  ", Printable(change.error().message()));
  }
  return text;
}

}  // namespace

std::string ProgressText(const std::string& job, v1::Job::State state, const v1::Progress& progress,
                         const std::vector<std::pair<std::string, double>>& latest,
                         const Terminal& terminal) {
  std::vector<std::string> parts = {terminal.Paint(job, Colour::kBold)};
  if (state != v1::Job::STATE_RUNNING) {
    parts.push_back(StateText(state, terminal));
  } else {
    if (!progress.phase().empty()) parts.push_back(Printable(progress.phase()));
    const double percent = std::isfinite(progress.fraction()) ? 100 * progress.fraction() : 0;
    parts.push_back(
        absl::StrCat(Bar(progress.fraction(), terminal), " ",
                     absl::StrFormat("%3.0f%%", std::floor(std::clamp(percent, 0.0, 100.0)))));
    if (progress.steps_per_second() > 0) {
      const std::string unit = progress.unit().empty() ? "steps" : Printable(progress.unit());
      parts.push_back(absl::StrCat(HumanNumber(progress.steps_per_second(), 3), " ", unit, "/s"));
    }
    if (progress.fraction() > 0 && progress.seconds_left() >= 0) {
      parts.push_back(absl::StrCat(HumanDuration(progress.seconds_left()), " left"));
    }
    for (const auto& [name, value] : ForOneLine(latest)) {
      parts.push_back(
          absl::StrCat(terminal.Paint(Printable(name), Colour::kDim), " ", HumanNumber(value)));
    }
  }
  std::string text;
  for (const std::string& part : parts) absl::StrAppend(&text, text.empty() ? "" : "  ", part);
  return Fit(text, terminal.width == Terminal::kUnlimited ? terminal.width : terminal.width - 1);
}

FollowView::FollowView(const std::string& job, Terminal terminal,
                       std::function<void(const std::string&)> write)
    : job_(Printable(job)), terminal_(terminal), write_(std::move(write)) {}

void FollowView::OnMetrics(const v1::MetricBatch& batch) {
  for (const v1::MetricPoint& point : batch.points()) {
    Curve& curve = curves_[point.name()];
    if (curve.size() >= kMostCurvePoints) {
      // Every second point is enough for a plot.
      for (size_t i = 0; 2 * i < curve.size(); ++i) curve[i] = curve[2 * i];
      curve.resize(curve.size() / 2);
    }
    curve.emplace_back(static_cast<double>(point.step()), point.value());
    const auto known = std::find_if(latest_.begin(), latest_.end(),
                                    [&](const auto& entry) { return entry.first == point.name(); });
    if (known == latest_.end()) {
      latest_.emplace_back(point.name(), point.value());
    } else {
      known->second = point.value();
    }
  }
}

void FollowView::OnEvent(const v1::JobEvent& event, absl::Time now) {
  const absl::Time event_time = ToTime(event.time());
  switch (event.event_case()) {
    case v1::JobEvent::kStateChange:
      state_ = event.state_change().to();
      if (state_ != v1::Job::STATE_RUNNING) progress_.Clear();
      PrintLine(absl::StrCat(terminal_.Paint(HumanTime(event.time(), now), Colour::kDim), "  ",
                             StateChangeText(event.state_change(), terminal_)));
      break;
    case v1::JobEvent::kProgress:
      progress_ = event.progress();
      break;
    case v1::JobEvent::kMetrics:
      OnMetrics(event.metrics());
      break;
    case v1::JobEvent::kLog:
      for (const absl::string_view line : absl::StrSplit(event.log().text(), '\n')) {
        PrintLine(terminal_.Paint(Printable(std::string_view(line.data(), line.size())),
                                  ColourOf(event.log().severity())));
      }
      break;
    default:
      break;
  }
  if (terminal_.interactive) {
    Draw(now, event_time);
  } else if (event.has_progress()) {
    PrintPlainProgress(event_time);
  }
}

void FollowView::PrintLine(const std::string& line) {
  write_(absl::StrCat(line_shown_ ? "\r\x1b[K" : "", line, "\n"));
  line_shown_ = false;
}

void FollowView::Say(const std::string& text) { PrintLine(text); }

void FollowView::Draw(absl::Time now, absl::Time event_time) {
  // Old events come in a rush; only the newest are worth a redraw each.
  const bool live = now - event_time < absl::Seconds(2);
  if (line_shown_ && !live && now - last_drawn_ < kRedraw) return;
  const bool ended = state_ == v1::Job::STATE_SUCCEEDED || state_ == v1::Job::STATE_FAILED ||
                     state_ == v1::Job::STATE_CANCELLED;
  if (ended) return;
  write_(absl::StrCat("\r\x1b[K", ProgressText(job_, state_, progress_, latest_, terminal_)));
  line_shown_ = true;
  last_drawn_ = now;
}

void FollowView::PrintPlainProgress(absl::Time event_time) {
  const bool new_phase = progress_.phase() != last_plain_phase_;
  if (!new_phase && event_time - last_plain_ < kPlainInterval) return;
  last_plain_ = event_time;
  last_plain_phase_ = progress_.phase();
  PrintLine(ProgressText(job_, state_, progress_, latest_, terminal_));
}

void FollowView::Finish() {
  if (line_shown_) write_("\r\x1b[K");
  line_shown_ = false;
}

}  // namespace trainyard::cli
