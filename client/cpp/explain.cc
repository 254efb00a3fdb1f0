// Client::Explain.
#include <algorithm>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "client/cpp/client_impl.h"
#include "client/cpp/files.h"
#include "client/cpp/status_macros.h"

namespace trainyard {
namespace {

constexpr size_t kPieceBytes = 512 << 10;

using Stream = grpc::ClientReaderWriter<v1::ExplainRequest, v1::ExplainResponse>;

// Sends header and file; returns an error of reading the file only.
absl::Status SendTable(const v1::ExplainHeader& header, const std::optional<InputFile>& file,
                       Stream& stream, const ProgressCallback& progress) {
  v1::ExplainRequest message;
  *message.mutable_header() = header;
  if (!stream.Write(message)) return absl::OkStatus();
  int64_t offset = 0;
  while (file.has_value()) {
    std::string& data = *message.mutable_data();
    data.resize(kPieceBytes);
    CLIENT_RETURN_IF_ERROR(file->Read(offset, data));
    if (data.empty()) break;
    if (!stream.Write(message)) return absl::OkStatus();
    offset += static_cast<int64_t>(data.size());
    if (progress) progress(offset, std::max(offset, file->size()));
  }
  stream.WritesDone();
  return absl::OkStatus();
}

}  // namespace

absl::Status Client::Explain(const v1::ExplainHeader& header, const std::string& input_path,
                             const std::function<absl::Status(const v1::ExplainResponse&)>& output,
                             const ProgressCallback& progress) {
  std::optional<InputFile> file;
  if (!input_path.empty()) {
    CLIENT_ASSIGN_OR_RETURN(InputFile opened, InputFile::Open(input_path));
    file.emplace(std::move(opened));
  }
  grpc::ClientContext context;
  const auto stream = impl_->models->Explain(&context);
  absl::Status sent;
  // The answer is read beside the sending: the server may stop taking input while it is not read.
  std::thread sender([&] {
    sent = SendTable(header, file, *stream, progress);
    if (!sent.ok()) context.TryCancel();
  });
  v1::ExplainResponse answer;
  absl::Status received;
  while (received.ok() && stream->Read(&answer)) received = output(answer);
  if (!received.ok()) context.TryCancel();
  sender.join();
  const absl::Status ended = FromGrpc(stream->Finish());
  CLIENT_RETURN_IF_ERROR(sent);
  CLIENT_RETURN_IF_ERROR(received);
  return ended;
}

}  // namespace trainyard
