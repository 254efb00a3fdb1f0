// Client::UploadDataset.
#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cpp/checksums.h"
#include "client/cpp/client_impl.h"
#include "client/cpp/files.h"
#include "client/cpp/status_macros.h"
#include "proto/schema/violations.h"

namespace trainyard {
namespace {

constexpr size_t kChunkBytes = 512 << 10;

absl::Status ShrunkError(const std::string& path) {
  return WithReason(absl::AbortedError(absl::StrCat(path, " changed while it was read")),
                    kLocalFileReason);
}

// Reads the whole file once for its digest.
absl::StatusOr<std::string> DigestOf(const InputFile& file, const std::string& path) {
  Sha256 sha256;
  std::string buffer;
  for (int64_t offset = 0; offset < file.size(); offset += static_cast<int64_t>(buffer.size())) {
    buffer.resize(kChunkBytes);
    CLIENT_RETURN_IF_ERROR(file.Read(offset, buffer));
    if (buffer.empty()) return ShrunkError(path);
    sha256.Update(buffer);
  }
  return sha256.FinishHex();
}

// Sends the chunks from `offset` on. An OK status with the stream broken leaves the verdict to
// Finish.
absl::Status SendChunks(const InputFile& file, const std::string& path, int64_t offset,
                        grpc::ClientWriter<v1::UploadDatasetRequest>& writer,
                        const ProgressCallback& progress) {
  v1::UploadDatasetRequest message;
  v1::FileChunk& chunk = *message.mutable_chunk();
  while (offset < file.size()) {
    std::string& data = *chunk.mutable_data();
    data.resize(std::min<size_t>(kChunkBytes, static_cast<size_t>(file.size() - offset)));
    CLIENT_RETURN_IF_ERROR(file.Read(offset, data));
    if (data.empty()) return ShrunkError(path);
    chunk.set_offset(offset);
    chunk.set_crc32c(Crc32c(data));
    if (!writer.Write(message)) return absl::OkStatus();
    offset += static_cast<int64_t>(data.size());
    if (progress) progress(offset, file.size());
  }
  writer.WritesDone();
  return absl::OkStatus();
}

}  // namespace

// What the server has of an upload that was cut off; 0 when it does not know, also because it is
// of a version that keeps nothing.
int64_t Client::Impl::CommittedBytes(const v1::UploadDatasetHeader& header) {
  v1::GetUploadRequest request;
  request.set_parent(header.parent());
  request.set_upload_id(header.upload_id());
  const auto upload = Call(*datasets, &v1::DatasetService::Stub::GetUpload, request, true);
  if (!upload.ok()) return 0;
  return std::clamp<int64_t>(upload->committed_size_bytes(), 0, header.size_bytes());
}

absl::StatusOr<v1::Dataset> Client::UploadDataset(const std::string& path,
                                                  v1::UploadDatasetHeader header,
                                                  const ProgressCallback& progress) {
  CLIENT_ASSIGN_OR_RETURN(const InputFile file, InputFile::Open(path));
  CLIENT_ASSIGN_OR_RETURN(std::string sha256, DigestOf(file, path));
  header.set_size_bytes(file.size());
  header.set_sha256(std::move(sha256));
  if (header.file_name().empty()) {
    header.set_file_name(std::filesystem::path(path).filename().string());
  }
  if (header.upload_id().empty()) header.set_upload_id(MakeUuid());
  v1::Dataset dataset;
  const auto send = [&](int64_t offset) -> absl::Status {
    grpc::ClientContext context;
    dataset.Clear();
    const auto writer = impl_->datasets->UploadDataset(&context, &dataset);
    v1::UploadDatasetRequest first;
    *first.mutable_header() = header;
    absl::Status local;
    if (writer->Write(first)) local = SendChunks(file, path, offset, *writer, progress);
    if (!local.ok()) context.TryCancel();
    const absl::Status answer = FromGrpc(writer->Finish());
    return local.ok() ? answer : local;
  };
  int64_t offset = 0;
  Backoff backoff(impl_->options.retry);
  for (int attempts = 1;; ++attempts) {
    const absl::Status status = send(offset);
    if (status.ok()) return dataset;
    if (!absl::IsUnavailable(status) || attempts >= impl_->options.retry.max_attempts) {
      return status;
    }
    impl_->WaitForServer(backoff.Next(RequestedDelay(status)));
    const int64_t committed = impl_->CommittedBytes(header);
    if (committed > offset) {  // something arrived: the next failure is a first one again
      attempts = 0;
      backoff.Reset();
    }
    offset = committed;
  }
}

}  // namespace trainyard
