// Calls that send a table and read an answer in pieces: Client::Predict and Client::Explain.
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

// Sends header and file; returns an error of reading the file only.
template <class Request, class Header, class Response>
absl::Status SendTable(const Header& header, const std::optional<InputFile>& file,
                       grpc::ClientReaderWriter<Request, Response>& stream,
                       const ProgressCallback& progress) {
  Request message;
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

using Models = v1::ModelService::Stub;
template <class Request, class Response>
using OpenCall =
    std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> (Models::*)(grpc::ClientContext*);

// Makes the call that `open` opens and hands every piece of the answer to `output`.
template <class Request, class Response, class Header>
absl::Status CallWithTable(Models& models, OpenCall<Request, Response> open, const Header& header,
                           const std::string& input_path,
                           const std::function<absl::Status(const Response&)>& output,
                           const ProgressCallback& progress) {
  std::optional<InputFile> file;
  if (!input_path.empty()) {
    CLIENT_ASSIGN_OR_RETURN(InputFile opened, InputFile::Open(input_path));
    file.emplace(std::move(opened));
  }
  grpc::ClientContext context;
  const auto stream = (models.*open)(&context);
  absl::Status sent;
  // The answer is read beside the sending: the server may stop taking input while it is not read.
  std::thread sender([&] {
    sent = SendTable(header, file, *stream, progress);
    if (!sent.ok()) context.TryCancel();
  });
  Response answer;
  absl::Status received;
  while (received.ok() && stream->Read(&answer)) received = output(answer);
  if (!received.ok()) context.TryCancel();
  sender.join();
  absl::Status ended = FromGrpc(stream->Finish());
  CLIENT_RETURN_IF_ERROR(sent);
  CLIENT_RETURN_IF_ERROR(received);
  return ended;
}

}  // namespace

absl::StatusOr<int64_t> Client::Predict(const v1::PredictTableHeader& header,
                                        const std::string& input_path,
                                        const std::function<absl::Status(std::string_view)>& output,
                                        const ProgressCallback& progress) {
  int64_t rows = 0;
  CLIENT_RETURN_IF_ERROR((CallWithTable<v1::PredictTableRequest, v1::PredictTableResponse>(
      *impl_->models, &Models::PredictTable, header, input_path,
      [&](const v1::PredictTableResponse& answer) {
        rows = answer.row_count();
        return output(answer.data());
      },
      progress)));
  return rows;
}

absl::Status Client::Explain(const v1::ExplainHeader& header, const std::string& input_path,
                             const std::function<absl::Status(const v1::ExplainResponse&)>& output,
                             const ProgressCallback& progress) {
  return CallWithTable<v1::ExplainRequest, v1::ExplainResponse>(
      *impl_->models, &Models::Explain, header, input_path, output, progress);
}

}  // namespace trainyard
