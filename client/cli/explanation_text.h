// An explanation for people and for scripts.
#pragma once

#include <string>

#include "client/cli/explanation_data.h"
#include "client/cli/terminal.h"

namespace trainyard::cli {

// Bars of the mean |SHAP value| of each output, bars of importances, or the curve of a dependence.
std::string ExplanationText(const ExplanationData& data, const Terminal& terminal);

// One JSON document: `model`, `info`, and the SHAP summary (`mean_absolute_shap`), `importance` or
// `dependence`.
std::string ExplanationJson(const ExplanationData& data, const std::string& model);

// The chart of an explanation; empty for what has none (the dependence on two features). SHAP
// values of several outputs are drawn below each other.
std::string ExplanationSvg(const ExplanationData& data, const std::string& model);

}  // namespace trainyard::cli
