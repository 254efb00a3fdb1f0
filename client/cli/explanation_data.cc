#include "client/cli/explanation_data.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/cli/svg_explanation.h"

namespace trainyard::cli {
namespace {

std::string Field(const std::string& text) {
  const bool quoted = text.find_first_of(",\"\r\n") != std::string::npos ||
                      (!text.empty() && (text.front() == ' ' || text.back() == ' '));
  if (!quoted) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

// The shortest text that reads back to the same number; empty where missing.
std::string Number(double value) {
  if (std::isnan(value)) return "";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return std::string(buffer, end.ptr);
}

}  // namespace

std::string ExplanationData::Add(const v1::ExplainResponse& message) {
  switch (message.message_case()) {
    case v1::ExplainResponse::kInfo:
      info_.MergeFrom(message.info());
      return "";
    case v1::ExplainResponse::kShap:
      return AddShap(message.shap());
    case v1::ExplainResponse::kImportance:
      return AddImportance(message.importance());
    case v1::ExplainResponse::kDependence:
      return AddDependence(message.dependence());
    case v1::ExplainResponse::MESSAGE_NOT_SET:
      break;
  }
  return "";
}

std::string ExplanationData::ShapHeader(bool interactions) const {
  std::string header = interactions ? "row,output,feature" : "row,output,base";
  for (const std::string& feature : info_.features()) {
    absl::StrAppend(&header, ",", Field(feature));
  }
  return header + "\n";
}

std::string ExplanationData::AddShap(const v1::ShapBlock& block) {
  const int features = info_.features_size();
  const int outputs = info_.outputs_size();
  const int width = features * outputs;
  const bool interactions = block.interactions_size() > 0;
  sums_.resize(static_cast<size_t>(width));
  const int64_t stride =
      std::max<int64_t>(1, info_.row_count() / static_cast<int64_t>(kMaxChartRows));
  std::string csv = header_given_ ? "" : ShapHeader(interactions);
  header_given_ = true;
  int at = 0;
  int pair = 0;
  for (int64_t row = 0; row < block.row_count(); ++row) {
    const int64_t number = block.first_row() + row;
    const bool kept = number % stride == 0;
    if (kept) {
      const auto from = block.feature_values().begin() + row * features;
      kept_features_.insert(kept_features_.end(), from, from + features);
      const auto values = block.values().begin() + at;
      kept_values_.insert(kept_values_.end(), values, values + width);
    }
    auto sum = sums_.begin();
    for (int k = 0; k < outputs; ++k) {
      const std::string start = absl::StrCat(number, ",", Field(info_.outputs(k)));
      if (!interactions) absl::StrAppend(&csv, start, ",", Number(info_.base_values(k)));
      for (int j = 0; j < features; ++j, ++at) {
        *sum++ += std::abs(block.values(at));
        if (!interactions) {
          absl::StrAppend(&csv, ",", Number(block.values(at)));
          continue;
        }
        absl::StrAppend(&csv, start, ",", Field(info_.features(j)));
        for (int i = 0; i < features; ++i) {
          absl::StrAppend(&csv, ",", Number(block.interactions(pair++)));
        }
        csv += "\n";
      }
      if (!interactions) csv += "\n";
    }
  }
  shap_rows_ += block.row_count();
  return csv;
}

std::vector<double> ExplanationData::MeanAbsolute() const {
  std::vector<double> means = sums_;
  means.resize(static_cast<size_t>(info_.features_size()) *
               static_cast<size_t>(info_.outputs_size()));
  for (double& mean : means) mean /= static_cast<double>(std::max<int64_t>(shap_rows_, 1));
  return means;
}

std::string ExplanationData::AddImportance(const v1::ImportanceBlock& block) {
  const bool with_deviation = block.deviations_size() > 0;
  std::string csv;
  if (!header_given_) {
    csv = with_deviation ? "feature,importance,deviation\n" : "feature,importance\n";
  }
  header_given_ = true;
  for (int i = 0; i < block.importances_size(); ++i) {
    absl::StrAppend(&csv, Field(info_.features(static_cast<int>(block.first_feature()) + i)), ",",
                    Number(block.importances(i)));
    if (with_deviation) absl::StrAppend(&csv, ",", Number(block.deviations(i)));
    csv += "\n";
  }
  importance_.MergeFrom(block);
  importance_.set_first_feature(0);
  return csv;
}

size_t ExplanationData::PointCount() const {
  size_t points = 1;
  for (const v1::DependenceAxis& axis : dependence_.axes()) {
    points *= static_cast<size_t>(axis.values_size() + axis.levels_size());
  }
  return points;
}

std::string ExplanationData::PointText(size_t point, int axis) const {
  for (int later = dependence_.axes_size() - 1; later > axis; --later) {
    const v1::DependenceAxis& other = dependence_.axes(later);
    point /= static_cast<size_t>(other.values_size() + other.levels_size());
  }
  const v1::DependenceAxis& own = dependence_.axes(axis);
  const int place =
      static_cast<int>(point % static_cast<size_t>(own.values_size() + own.levels_size()));
  return own.levels_size() > 0 ? own.levels(place) : Number(own.values(place));
}

std::string ExplanationData::AddDependence(const v1::DependenceBlock& block) {
  const size_t outputs = static_cast<size_t>(info_.outputs_size());
  std::string csv;
  if (block.axes_size() > 0) {
    dependence_ = block;
    for (const v1::DependenceAxis& axis : block.axes()) {
      absl::StrAppend(&csv, Field(axis.feature()), ",");
    }
    absl::StrAppend(&csv, "row");
    for (const std::string& output : info_.outputs()) {
      absl::StrAppend(&csv, ",", Field(output));
    }
    csv += "\n";
  }
  const size_t points = PointCount();
  const auto add = [&](const std::string& row, auto numbers) {
    for (size_t point = 0; point < points; ++point) {
      for (int axis = 0; axis < dependence_.axes_size(); ++axis) {
        absl::StrAppend(&csv, Field(PointText(point, axis)), ",");
      }
      csv += row;
      for (size_t k = 0; k < outputs; ++k) absl::StrAppend(&csv, ",", Number(*numbers++));
      csv += "\n";
    }
  };
  if (block.axes_size() > 0) add("mean", block.means().begin());
  const size_t width = points * outputs;
  const int64_t stride = std::max<int64_t>(1, info_.row_count() / 200);
  const size_t rows = width == 0 ? 0 : static_cast<size_t>(block.individual_size()) / width;
  for (size_t row = 0; row < rows; ++row) {
    const auto from = block.individual().begin() + static_cast<ptrdiff_t>(row * width);
    const int64_t number = block.first_row() + static_cast<int64_t>(row);
    add(absl::StrCat(number), from);
    if (number % stride == 0) {
      kept_curves_.insert(kept_curves_.end(), from, from + static_cast<ptrdiff_t>(width));
    }
  }
  return csv;
}

}  // namespace trainyard::cli
