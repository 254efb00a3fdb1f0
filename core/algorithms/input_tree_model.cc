#include "core/algorithms/input_tree_model.h"

#include <filesystem>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace trainyard {
namespace {

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

absl::Status UnfitModel(std::string_view field, std::string_view name, std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(View(field), ": \"", View(name), "\" ", View(what)));
}

absl::StatusOr<InputTreeModel> LoadInputTreeModel(std::string_view field, const std::string& name,
                                                  TrainingContext& context) {
  absl::StatusOr<InputModel> input = context.FindModel(name);
  if (absl::IsNotFound(input.status())) {
    return absl::FailedPreconditionError(input.status().message());
  }
  TY_RETURN_IF_ERROR(input.status());
  if (!input->files.contains(kTreeModelFile)) {
    return UnfitModel(
        field, name,
        absl::StrCat("was trained by ", input->manifest.algorithm(), " and holds no trees"));
  }
  InputTreeModel model;
  TY_ASSIGN_OR_RETURN(
      model.stored,
      ReadTreeModel([&](const std::string& file) -> absl::StatusOr<std::filesystem::path> {
        const auto at = input->files.find(file);
        if (at == input->files.end()) return absl::NotFoundError(absl::StrCat(file, " is missing"));
        return at->second;
      }));
  model.manifest = std::move(input->manifest);
  return model;
}

}  // namespace trainyard
