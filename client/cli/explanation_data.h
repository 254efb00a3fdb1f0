// An explanation as it arrives: what is kept of it, and its CSV file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainyard/v1/explanation.pb.h"

namespace trainyard::cli {

// Takes the messages of one explanation. Of SHAP values only sums and some rows for charts are
// kept, so that any number of rows may pass.
class ExplanationData {
 public:
  // Takes a message and returns the lines of the CSV file that it makes, a header before the first.
  // SHAP: `row,output,base,FEATURE…`; with interactions `row,output,feature,FEATURE…`. Importances:
  // `feature,importance[,deviation]`. Dependence: the features, then `row` (`mean`, or the number
  // of the row whose curve it is), then the outputs.
  std::string Add(const v1::ExplainResponse& message);

  const v1::ExplanationInfo& info() const { return info_; }
  // Mean |SHAP value| over the rows so far, [output][feature].
  std::vector<double> MeanAbsolute() const;
  bool has_shap() const { return shap_rows_ > 0 || !sums_.empty(); }

  // Rows kept for charts: SHAP values [row][output][feature], feature values [row][feature].
  const std::vector<double>& kept_values() const { return kept_values_; }
  const std::vector<double>& kept_features() const { return kept_features_; }

  const v1::ImportanceBlock& importance() const { return importance_; }
  const v1::DependenceBlock& dependence() const { return dependence_; }
  // Curves of rows kept for charts: [row][point][output].
  const std::vector<double>& kept_curves() const { return kept_curves_; }
  // Grid points of the dependence.
  size_t PointCount() const;
  // One coordinate of a grid point, as text.
  std::string PointText(size_t point, int axis) const;

 private:
  std::string AddShap(const v1::ShapBlock& block);
  std::string AddImportance(const v1::ImportanceBlock& block);
  std::string AddDependence(const v1::DependenceBlock& block);
  std::string ShapHeader(bool interactions) const;

  v1::ExplanationInfo info_;
  bool header_given_ = false;
  int64_t shap_rows_ = 0;
  std::vector<double> sums_;  // of |SHAP value|, [output][feature]
  std::vector<double> kept_values_;
  std::vector<double> kept_features_;
  v1::ImportanceBlock importance_;
  v1::DependenceBlock dependence_;
  std::vector<double> kept_curves_;
};

}  // namespace trainyard::cli
