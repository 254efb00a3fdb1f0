#include "core/algorithms/tree_model_text.h"

#include <optional>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/trees/tree_printer.h"
#include "proto/schema/violations.h"

namespace trainyard {

std::vector<std::string> TreeOutputNames(const v1::TreeModel& model, const TreeEnsemble& ensemble,
                                         size_t tree) {
  std::vector<std::string> names(model.classes().begin(), model.classes().end());
  if (names.empty()) names.assign(model.targets().begin(), model.targets().end());
  if (ensemble.link == Link::kLogistic) return {names.back()};
  if (ensemble.tree_output.empty()) return names;
  return {names[static_cast<size_t>(ensemble.tree_output[tree])]};
}

absl::StatusOr<std::string> PrintTree(const StoredTree& stored, size_t number,
                                      v1::PrintTreeRequest::Format format, size_t max_bytes) {
  const std::vector<std::string> outputs = TreeOutputNames(stored.model, stored.ensemble, number);
  const std::span<const v1::ColumnSchema* const> features(
      stored.model.features().data(), static_cast<size_t>(stored.model.features_size()));
  const TreeNames names = {features, outputs};
  std::optional<std::string> text;
  if (format == v1::PrintTreeRequest::FORMAT_DOT) {
    text = TreeToDot(stored.tree, names, max_bytes);
  } else if (format == v1::PrintTreeRequest::FORMAT_JSON) {
    text = TreeToJson(stored.tree, names, max_bytes);
  } else {
    text = TreeToText(stored.tree, names, max_bytes);
  }
  if (text.has_value()) return *std::move(text);
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat(
          "tree ", number, " has ", stored.tree.node_count(), " nodes and would take more than ",
          max_bytes, " bytes; FORMAT_TEXT shows its upper part, and the model's files hold it")),
      "TREE_TOO_LARGE");
}

}  // namespace trainyard
