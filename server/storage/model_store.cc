#include "server/storage/model_store.h"

#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/secret.h"
#include "core/base/status.h"
#include "server/storage/predictor_cache.h"

namespace trainyard {
namespace {

namespace fs = std::filesystem;

absl::Status FileError(std::string_view doing, const fs::path& path, const std::error_code& error) {
  const std::string text =
      absl::StrCat(std::string(doing), " ", path.string(), ": ", error.message());
  return error == std::errc::no_space_on_device ? absl::ResourceExhaustedError(text)
                                                : absl::UnavailableError(text);
}

// Whether `path` stays within the folder it is relative to.
bool IsInside(const fs::path& path) {
  if (path.empty() || path.is_absolute() || !path.has_filename()) return false;
  for (const fs::path& part : path) {
    if (part == "." || part == ".." || part.empty()) return false;
  }
  return true;
}

// A folder that goes with its owner.
class ScratchFolder {
 public:
  explicit ScratchFolder(fs::path path) : path_(std::move(path)) {}
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  const fs::path path_;
};

// Puts the model's files into `folder`: as links to the blobs, as copies where the file system has
// no links.
absl::Status PutFiles(const ModelStore::HeldModel& held, const fs::path& folder) {
  std::error_code error;
  for (int i = 0; i < held.model.files_size(); ++i) {
    const fs::path relative = held.model.files(i).path();
    if (!IsInside(relative)) {
      return absl::DataLossError(absl::StrCat("model '", held.model.name(), "' has a file '",
                                              relative.string(), "' outside of its folder"));
    }
    const fs::path target = folder / relative;
    fs::create_directories(target.parent_path(), error);
    if (error) return FileError("creating folder", target.parent_path(), error);
    fs::create_hard_link(held.paths[static_cast<size_t>(i)], target, error);
    if (error) fs::copy_file(held.paths[static_cast<size_t>(i)], target, error);
    if (error) return FileError("placing", target, error);
  }
  return absl::OkStatus();
}

class CatalogueModelStore final : public ModelStore {
 public:
  CatalogueModelStore(const Options& options, Catalogue& catalogue, BlobStore& blobs)
      : scratch_(fs::absolute(options.scratch_folder)),
        find_algorithm_(options.find_algorithm),
        catalogue_(catalogue),
        blobs_(blobs),
        cache_(options.max_loaded_models, options.max_loaded_bytes) {}

  absl::Status Prepare() const {
    std::error_code error;
    fs::remove_all(scratch_, error);
    if (error) return FileError("emptying", scratch_, error);
    fs::create_directories(scratch_, error);
    if (error) return FileError("creating folder", scratch_, error);
    return absl::OkStatus();
  }

  absl::StatusOr<v1::Model> Get(const ModelName& name) override {
    return catalogue_.GetModel(name);
  }

  absl::StatusOr<Catalogue::ModelPage> List(std::string_view project, std::string_view page_token,
                                            int page_size) override {
    return catalogue_.ListModels(project, page_token, page_size);
  }

  absl::Status Delete(const ModelName& name, const std::string& etag) override {
    TY_ASSIGN_OR_RETURN(const v1::Model model, catalogue_.GetModel(name));
    if (!etag.empty() && etag != model.etag()) {
      return absl::AbortedError(absl::StrCat("etag is '", etag, "', that of '", model.name(),
                                             "' is '", model.etag(), "'"));
    }
    // Models never change: the one that is deleted is the one whose etag was compared.
    TY_RETURN_IF_ERROR(catalogue_.WriteAndWait(
        [&](CatalogueTransaction& transaction) { return transaction.DeleteModel(name); }));
    cache_.Remove(KeyOf(model));
    return absl::OkStatus();
  }

  absl::StatusOr<HeldModel> Open(const ModelName& name) override {
    TY_ASSIGN_OR_RETURN(v1::Model model, catalogue_.GetModel(name));
    HeldModel held{std::move(model), {}, nullptr};
    auto holds = std::make_shared<std::vector<std::shared_ptr<void>>>();
    TY_ASSIGN_OR_RETURN(const ModelContents contents, catalogue_.GetModelContents(name));
    for (const v1::ModelFile& file : held.model.files()) {
      holds->push_back(blobs_.Hold(file.sha256()));
      absl::StatusOr<fs::path> path = blobs_.PathOf(file.sha256());
      const auto content = contents.find(file.path());
      if (absl::IsNotFound(path.status()) && content != contents.end()) {
        TY_RETURN_IF_ERROR(AddContext(PutBlob(file, content->second), name.ToString()));
        path = blobs_.PathOf(file.sha256());
      }
      if (absl::IsNotFound(path.status())) {
        // Deleted since, or lost?
        TY_RETURN_IF_ERROR(catalogue_.GetModel(name).status());
        return absl::DataLossError(absl::StrCat("file '", file.path(), "' of '", name.ToString(),
                                                "' is gone: ", path.status().message()));
      }
      TY_RETURN_IF_ERROR(path.status());
      held.paths.push_back(*std::move(path));
    }
    held.hold = std::move(holds);
    return held;
  }

  absl::StatusOr<std::shared_ptr<const Predictor>> LoadPredictor(const ModelName& name) override {
    TY_ASSIGN_OR_RETURN(HeldModel held, Open(name));
    const Algorithm* algorithm = find_algorithm_(held.model.algorithm());
    if (algorithm == nullptr) {
      return absl::UnimplementedError(absl::StrCat("model '", held.model.name(),
                                                   "' was trained by '", held.model.algorithm(),
                                                   "', which this build does not have"));
    }
    return cache_.Get(KeyOf(held.model), [&] { return Load(*algorithm, held); });
  }

 private:
  // A deleted name may be used again by another model.
  static std::string KeyOf(const v1::Model& model) {
    return absl::StrCat(model.name(), " ", model.etag(), " ", model.create_time().seconds(), ".",
                        model.create_time().nanos());
  }

  // A file that the catalogue keeps is used by its path all the same: as a blob that nothing refers
  // to and that goes when it is not held any more.
  absl::Status PutBlob(const v1::ModelFile& file, const std::string& content) {
    TY_ASSIGN_OR_RETURN(const std::unique_ptr<BlobWriter> writer,
                        blobs_.Create(static_cast<int64_t>(content.size())));
    TY_RETURN_IF_ERROR(writer->Append(content));
    if (writer->Sha256() != file.sha256()) {
      return absl::DataLossError(absl::StrCat("file '", file.path(),
                                              "' is damaged: its bytes have ", "the SHA-256 ",
                                              writer->Sha256()));
    }
    return writer->Commit().status();
  }

  absl::StatusOr<PredictorCache::Loaded> Load(const Algorithm& algorithm,
                                              const HeldModel& held) const {
    // The predictor may read its files later: folder and blobs live as long as it does.
    struct Kept {
      explicit Kept(fs::path path) : folder(std::move(path)) {}
      std::shared_ptr<void> hold;
      ScratchFolder folder;
      std::unique_ptr<Predictor> predictor;
    };
    auto kept = std::make_shared<Kept>(scratch_ / RandomHexToken(16));
    kept->hold = held.hold;
    std::error_code error;
    fs::create_directories(kept->folder.path(), error);
    if (error) return FileError("creating folder", kept->folder.path(), error);
    TY_RETURN_IF_ERROR(PutFiles(held, kept->folder.path()));
    absl::StatusOr<std::unique_ptr<Predictor>> predictor =
        algorithm.LoadPredictor(held.model.manifest(), kept->folder.path());
    if (!predictor.ok()) {
      return AddContext(predictor.status(), absl::StrCat("loading '", held.model.name(), "'"));
    }
    kept->predictor = *std::move(predictor);
    const Predictor* const raw = kept->predictor.get();
    return PredictorCache::Loaded{std::shared_ptr<const Predictor>(std::move(kept), raw),
                                  held.model.size_bytes()};
  }

  const fs::path scratch_;
  const std::function<const Algorithm*(std::string_view)> find_algorithm_;
  Catalogue& catalogue_;
  BlobStore& blobs_;
  PredictorCache cache_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ModelStore>> ModelStore::Create(const Options& options,
                                                               Catalogue& catalogue,
                                                               BlobStore& blobs) {
  auto store = std::make_unique<CatalogueModelStore>(options, catalogue, blobs);
  TY_RETURN_IF_ERROR(store->Prepare());
  return store;
}

}  // namespace trainyard
