#include "core/algorithms/tree_texts.h"

#include <algorithm>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/algorithms/tree_model_text.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/trees/tree_printer.h"

namespace trainyard {
namespace {

constexpr size_t kTextBytes = size_t{1} << 20;

}  // namespace

std::string FirstTreeText(const v1::TreeModel& model, const TreeEnsemble& ensemble,
                          size_t max_bytes) {
  const std::vector<std::string> outputs = TreeOutputNames(model, ensemble, 0);
  const std::span<const v1::ColumnSchema* const> features(
      model.features().data(), static_cast<size_t>(model.features_size()));
  return TreeToText(ensemble.trees.front(), {features, outputs}, max_bytes);
}

absl::Status WriteTreeTexts(const v1::TreeModel& model, const TreeEnsemble& ensemble,
                            const std::filesystem::path& folder, const TreeTextLimits& limits) {
  std::error_code error;
  std::filesystem::create_directories(folder / "trees", error);
  if (error) return absl::UnavailableError(absl::StrCat("trees: ", error.message()));
  const std::span<const v1::ColumnSchema* const> features(
      model.features().data(), static_cast<size_t>(model.features_size()));
  const size_t count =
      std::min(ensemble.trees.size(), static_cast<size_t>(std::max(limits.trees, 0)));
  int nodes = 0;
  for (size_t t = 0; t < count; ++t) {
    const Tree& tree = ensemble.trees[t];
    nodes += tree.node_count();
    if (nodes > limits.nodes) break;
    const std::vector<std::string> outputs = TreeOutputNames(model, ensemble, t);
    const TreeNames names = {features, outputs};
    const std::filesystem::path base = folder / "trees" / absl::StrCat("tree-", t);
    const std::pair<const char*, std::string> forms[] = {
        {".txt", TreeToText(tree, names, kTextBytes)},
        {".dot", *TreeToDot(tree, names)},
        {".json", *TreeToJson(tree, names)}};
    for (const auto& [suffix, text] : forms) {
      TY_RETURN_IF_ERROR(WriteFileAtomically(FileSystem::Real(), base.string() + suffix, text));
    }
  }
  return absl::OkStatus();
}

}  // namespace trainyard
