#include "core/algorithms/quant_bnb/cost_matrix.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"

namespace trainyard {
namespace {

absl::StatusOr<size_t> FindLabel(int index, const char* field, const std::string& label,
                                 std::span<const std::string> labels) {
  const auto at = std::find(labels.begin(), labels.end(), label);
  if (at != labels.end()) return static_cast<size_t>(at - labels.begin());
  constexpr size_t kShown = 20;
  const std::span<const std::string> shown = labels.first(std::min(kShown, labels.size()));
  return absl::InvalidArgumentError(
      absl::StrCat("costs[", index, "].", field, " is \"", label,
                   "\", which is no class of the rows that are used; must be one of ",
                   absl::StrJoin(shown, ", "), shown.size() < labels.size() ? ", …" : ""));
}

}  // namespace

absl::StatusOr<std::vector<double>> MakeCostMatrix(
    const google::protobuf::RepeatedPtrField<v1::MisclassificationCost>& costs,
    std::span<const std::string> labels) {
  const size_t classes = labels.size();
  std::vector<double> matrix(classes * classes, 1.0);
  for (size_t c = 0; c < classes; ++c) matrix[c * classes + c] = 0;
  bool other_than_one = false;
  for (int i = 0; i < costs.size(); ++i) {
    TY_ASSIGN_OR_RETURN(const size_t actual, FindLabel(i, "actual", costs[i].actual(), labels));
    TY_ASSIGN_OR_RETURN(const size_t predicted,
                        FindLabel(i, "predicted", costs[i].predicted(), labels));
    matrix[actual * classes + predicted] = costs[i].cost();
    other_than_one |= costs[i].cost() != 1;
  }
  if (!other_than_one) matrix.clear();
  return matrix;
}

}  // namespace trainyard
