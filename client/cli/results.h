// What a finished job found out, as tables and a plot made from its report alone.
#pragma once

#include <map>
#include <string>

#include "client/cli/plot.h"
#include "client/cli/terminal.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard::cli {

// Tables: the metrics on training, validation and test rows side by side; then, of the algorithm's
// own report, all maps of numbers side by side (`metrics_plain` beside `metrics_shrunk`), those in
// maps (`cart_metrics` by set of rows), its single values, the first lines of its longer texts; at
// last time and memory.
std::string ReportText(const v1::Report& report, const Terminal& terminal);

// A small plot of the most telling curve: of `curves`, the metrics of a job by name, or else of the
// first list in the report whose elements hold at least two numbers. Empty when there is none.
std::string CurveText(const v1::Report& report, const std::map<std::string, Curve>& curves,
                      const Terminal& terminal);

// The name of the most telling of `curves`; empty when none has two finite points. Losses and gaps
// go before scores, validation before training, and curves that move before constant ones.
std::string MostTellingCurve(const std::map<std::string, Curve>& curves);

}  // namespace trainyard::cli
