#include "core/algorithms/quant_bnb/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace trainyard {
namespace {

int64_t StepOf(double seconds) { return std::llround(seconds * 1000); }

}  // namespace

std::string ShortNumber(double value) { return absl::StrFormat("%.6g", value); }

void SearchMonitor::Search(const SearchProgress& progress, const Tree* better) {
  context_.ReportMetrics(StepOf(progress.seconds),
                         {{"search/incumbent", progress.incumbent},
                          {"search/lower_bound", progress.lower_bound},
                          {"search/gap", progress.gap()},
                          {"search/alive", static_cast<double>(progress.alive)}});
  if (better != nullptr) {
    context_.Log(v1::LogLine::SEVERITY_INFO,
                 absl::StrCat("a tree of ", better->leaf_count(), " leaves with loss ",
                              ShortNumber(progress.incumbent), "; no tree has less than ",
                              ShortNumber(progress.lower_bound)));
  }
  const int64_t thresholds = std::max<int64_t>(progress.counters.thresholds(), 1);
  const int64_t excluded = std::clamp<int64_t>(thresholds - progress.alive, 0, thresholds);
  v1::Progress report;
  report.set_step(excluded);
  report.set_step_count(thresholds);
  report.set_unit("thresholds");
  const double part = static_cast<double>(excluded) / static_cast<double>(thresholds);
  Report("search", kSearchBegin + part * (kSearchEnd - kSearchBegin), std::move(report));
}

void SearchMonitor::Lookahead(const LookaheadProgress& progress) {
  context_.ReportMetrics(StepOf(progress.seconds), {{"search/incumbent", progress.loss},
                                                    {"search/settled", progress.settled}});
  Report("lookahead", kSearchBegin + progress.settled * (kSearchEnd - kSearchBegin), {});
}

void SearchMonitor::Report(const char* phase, double fraction, v1::Progress progress) {
  fraction_ = std::clamp(fraction, fraction_, 1.0);
  progress.set_phase(phase);
  progress.set_fraction(fraction_);
  context_.ReportProgress(progress);
}

}  // namespace trainyard
