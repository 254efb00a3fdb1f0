#include "tests/server/worker/fake_worker_service.h"

#include <fstream>

#include "core/base/crc32c.h"

namespace trainyard {

void FakeWorkerService::OnEvents(const v1::WorkerEvents& events, Stream* stream) {
  if (seen_.events.empty()) first_event_time_ = std::chrono::steady_clock::now();
  int64_t sequence = events.first_sequence();
  for (const v1::JobEvent& event : events.events()) {
    if (sequence > static_cast<int64_t>(seen_.events.size()) + 1) ++seen_.gaps;
    if (!seen_.events.emplace(sequence, event).second) ++seen_.resent;
    ++sequence;
  }
  if (!acknowledge) return;
  v1::ServerMessage answer;
  answer.mutable_ack()->set_sequence(sequence - 1);
  stream->Write(answer);
}

grpc::Status FakeWorkerService::Session(grpc::ServerContext*, Stream* stream) {
  v1::WorkerMessage message;
  if (!stream->Read(&message) || !message.has_hello()) return grpc::Status::OK;
  {
    MutexLock lock(&mutex_);
    seen_.hellos.push_back(message.hello());
    if (!hello_answer.ok()) return hello_answer;
    v1::ServerMessage answer;
    *answer.mutable_assignment() = assignment;
    // What was stored, whether or not the worker was told.
    answer.mutable_assignment()->set_acknowledged_sequence(
        static_cast<int64_t>(seen_.events.size()));
    stream->Write(answer);
    stream_ = stream;
  }
  bool finished = false;
  while (stream->Read(&message)) {
    MutexLock lock(&mutex_);
    if (message.has_events()) OnEvents(message.events(), stream);
    if (message.has_alive()) ++seen_.alive;
    if (message.has_finished()) {
      finished = true;
      seen_.finished.push_back(message.finished());
      for (const v1::SmallModelFile& file : message.finished().small_files()) {
        seen_.files[file.path()] = file.data();
      }
      v1::ServerMessage answer;
      answer.mutable_finished_ack();
      stream->Write(answer);
    }
  }
  MutexLock lock(&mutex_);
  stream_ = nullptr;
  if (!finished) ++seen_.garbage;
  return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no WorkerMessage");
}

grpc::Status FakeWorkerService::UploadArtifact(
    grpc::ServerContext*, grpc::ServerReader<v1::UploadArtifactRequest>* reader,
    v1::UploadArtifactResponse* response) {
  v1::UploadArtifactRequest request;
  if (!reader->Read(&request) || !request.has_header()) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no header");
  }
  const v1::ArtifactHeader header = request.header();
  std::string bytes;
  while (reader->Read(&request)) {
    const v1::FileChunk& chunk = request.chunk();
    if (chunk.offset() != static_cast<int64_t>(bytes.size()) || chunk.data().size() > 1 << 20 ||
        chunk.crc32c() != Crc32c(chunk.data())) {
      return grpc::Status(grpc::StatusCode::DATA_LOSS, "a chunk is wrong");
    }
    bytes += chunk.data();
  }
  if (static_cast<int64_t>(bytes.size()) != header.size_bytes()) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "cut");
  }
  MutexLock lock(&mutex_);
  if (seen_.hellos.empty() || header.session_key() != seen_.hellos.back().session_key()) {
    return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "wrong key");
  }
  if (header.kind() == v1::ArtifactHeader::KIND_CHECKPOINT) {
    const auto file = folder / "checkpoint";
    std::ofstream(file, std::ios::binary) << bytes;
    assignment.set_checkpoint_path(file.string());
    ++seen_.checkpoint_count;
  } else {
    seen_.files[header.path()] = bytes;
  }
  response->mutable_file()->set_path(header.path());
  response->mutable_file()->set_size_bytes(header.size_bytes());
  return grpc::Status::OK;
}

}  // namespace trainyard
