// Client::DownloadDataset and Client::DownloadModel.
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cpp/checksums.h"
#include "client/cpp/client_impl.h"
#include "client/cpp/files.h"
#include "client/cpp/status_macros.h"

namespace trainyard {
namespace {

// One file as it arrives: chunks in order, each with its checksum, and the digest at the end.
class IncomingFile {
 public:
  IncomingFile(std::string label, std::unique_ptr<AtomicFile> file)
      : label_(std::move(label)), file_(std::move(file)) {}

  // Takes what the first chunk of a file says about the whole; a later stream must say the same.
  absl::Status Begin(const v1::FileChunk& chunk) {
    if (begun_ && (chunk.sha256() != sha256_ || chunk.total_size_bytes() != total_)) {
      return absl::AbortedError(absl::StrCat(label_, " changed on the server during the download"));
    }
    sha256_ = chunk.sha256();
    total_ = chunk.total_size_bytes();
    begun_ = true;
    return absl::OkStatus();
  }

  absl::Status Add(const v1::FileChunk& chunk) {
    if (chunk.offset() != received_) {
      return absl::DataLossError(absl::StrCat(label_, ": a chunk begins at byte ", chunk.offset(),
                                              " where byte ", received_, " is next"));
    }
    const uint32_t crc = Crc32c(chunk.data());
    if (crc != chunk.crc32c()) {
      return absl::DataLossError(absl::StrCat(label_, ": the chunk at byte ", received_,
                                              " has the CRC-32C ", absl::Hex(crc, absl::kZeroPad8),
                                              "; the server sent ",
                                              absl::Hex(chunk.crc32c(), absl::kZeroPad8)));
    }
    CLIENT_RETURN_IF_ERROR(file_->Write(chunk.data()));
    digest_.Update(chunk.data());
    received_ += static_cast<int64_t>(chunk.data().size());
    return absl::OkStatus();
  }

  // Checks size and digest, and puts the file in its place.
  absl::Status Finish() {
    if (!begun_ || received_ != total_) {
      return absl::DataLossError(
          absl::StrCat(label_, ": ", received_, " bytes arrived of ", total_));
    }
    const std::string digest = digest_.FinishHex();
    if (digest != sha256_) {
      return absl::DataLossError(absl::StrCat(label_, ": the file has the SHA-256 ", digest,
                                              "; the server sent ", sha256_));
    }
    return file_->Commit();
  }

  int64_t received() const { return received_; }
  int64_t total() const { return total_; }
  const std::string& sha256() const { return sha256_; }

 private:
  std::string label_;
  std::unique_ptr<AtomicFile> file_;
  Sha256 digest_;
  std::string sha256_;
  int64_t received_ = 0;
  int64_t total_ = 0;
  bool begun_ = false;
};

// Ends a stream that was not read to its end because of `local`, or returns how it ended itself.
absl::Status EndStream(grpc::ClientContext& context, grpc::ClientReader<v1::FileChunk>& reader,
                       const absl::Status& local) {
  if (!local.ok()) context.TryCancel();
  const absl::Status answer = FromGrpc(reader.Finish());
  return local.ok() ? answer : local;
}

// Receives the files of a model into a folder.
class IncomingModel {
 public:
  IncomingModel(const v1::Model& model, AtomicFolder& folder, const ProgressCallback& progress)
      : model_(model), folder_(folder), progress_(progress) {}

  absl::Status Add(const v1::FileChunk& chunk) {
    if (!chunk.path().empty()) CLIENT_RETURN_IF_ERROR(BeginFile(chunk));
    if (file_ == nullptr) return absl::DataLossError("the first chunk does not name its file");
    CLIENT_RETURN_IF_ERROR(file_->Add(chunk));
    done_ += static_cast<int64_t>(chunk.data().size());
    if (progress_) progress_(done_, model_.size_bytes());
    return absl::OkStatus();
  }

  // Closes the last file and checks that every file of the model came.
  absl::Status Finish() {
    CLIENT_RETURN_IF_ERROR(EndFile());
    for (const v1::ModelFile& file : model_.files()) {
      const auto found = digests_.find(file.path());
      if (found == digests_.end() || found->second != file.sha256()) {
        return absl::DataLossError(
            absl::StrCat(file.path(), " of ", model_.name(),
                         found == digests_.end() ? " did not arrive" : " is another file"));
      }
    }
    return folder_.Commit();
  }

 private:
  absl::Status BeginFile(const v1::FileChunk& chunk) {
    CLIENT_RETURN_IF_ERROR(EndFile());
    path_ = chunk.path();
    if (digests_.count(path_) != 0) {
      return absl::DataLossError(absl::StrCat(path_, " arrived twice"));
    }
    CLIENT_ASSIGN_OR_RETURN(auto file, folder_.CreateFile(path_));
    file_ = std::make_unique<IncomingFile>(path_, std::move(file));
    return file_->Begin(chunk);
  }

  absl::Status EndFile() {
    if (file_ == nullptr) return absl::OkStatus();
    CLIENT_RETURN_IF_ERROR(file_->Finish());
    digests_[path_] = file_->sha256();
    file_.reset();
    return absl::OkStatus();
  }

  const v1::Model& model_;
  AtomicFolder& folder_;
  const ProgressCallback& progress_;
  std::unique_ptr<IncomingFile> file_;
  std::string path_;
  std::map<std::string, std::string> digests_;
  int64_t done_ = 0;
};

}  // namespace

absl::StatusOr<int64_t> Client::DownloadDataset(std::string_view name, const std::string& path,
                                                const ProgressCallback& progress) {
  CLIENT_ASSIGN_OR_RETURN(auto output, AtomicFile::Create(path));
  IncomingFile file{std::string(name), std::move(output)};
  const absl::Status status = impl_->RepeatTransfer([&]() -> absl::Status {
    v1::DownloadDatasetRequest request;
    request.set_name(std::string(name));
    request.set_offset(file.received());
    grpc::ClientContext context;
    const auto reader = impl_->datasets->DownloadDataset(&context, request);
    v1::FileChunk chunk;
    absl::Status local;
    for (bool first = true; local.ok() && reader->Read(&chunk); first = false) {
      if (first) local = file.Begin(chunk);
      if (local.ok()) local = file.Add(chunk);
      if (local.ok() && progress) progress(file.received(), file.total());
    }
    return EndStream(context, *reader, local);
  });
  CLIENT_RETURN_IF_ERROR(status);
  CLIENT_RETURN_IF_ERROR(file.Finish());
  return file.total();
}

absl::StatusOr<v1::Model> Client::DownloadModel(std::string_view name, const std::string& folder,
                                                bool replace, const ProgressCallback& progress) {
  CLIENT_ASSIGN_OR_RETURN(v1::Model model, GetModel(name));
  CLIENT_ASSIGN_OR_RETURN(const auto output, AtomicFolder::Create(folder, replace));
  const absl::Status status = impl_->RepeatTransfer([&]() -> absl::Status {
    CLIENT_RETURN_IF_ERROR(output->Clear());
    v1::DownloadModelRequest request;
    request.set_name(std::string(name));
    grpc::ClientContext context;
    const auto reader = impl_->models->DownloadModel(&context, request);
    IncomingModel incoming(model, *output, progress);
    v1::FileChunk chunk;
    absl::Status local;
    while (local.ok() && reader->Read(&chunk)) local = incoming.Add(chunk);
    const absl::Status ended = EndStream(context, *reader, local);
    return ended.ok() ? incoming.Finish() : ended;
  });
  if (!status.ok()) return status;
  return model;
}

}  // namespace trainyard
