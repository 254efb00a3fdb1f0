// A connection to the server for tests, without gRPC.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/mutex.h"
#include "server/worker/server_connection.h"

namespace trainyard {

// The server's end of one stream: what the worker wrote, and what it is to read.
class FakeStream {
 public:
  // --- The test's side.
  void Send(v1::ServerMessage message) {
    MutexLock lock(&mutex_);
    to_worker_.push_back(std::move(message));
  }
  void End(absl::Status status) {
    MutexLock lock(&mutex_);
    if (!ended_) status_ = std::move(status);
    ended_ = true;
  }
  // The next message of the worker that is not a sign of life (unless that is wanted).
  v1::WorkerMessage Receive(bool with_alive = false) {
    MutexLock lock(&mutex_);
    while (true) {
      const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return !from_worker_.empty();
      };
      if (!mutex_.AwaitWithTimeout(ready, absl::Seconds(20))) return {};
      v1::WorkerMessage message = std::move(from_worker_.front());
      from_worker_.pop_front();
      if (with_alive || !message.has_alive()) return message;
    }
  }
  bool garbage_seen() {
    MutexLock lock(&mutex_);
    return garbage_;
  }

  // --- The worker's side.
  bool Write(const v1::WorkerMessage& message) {
    MutexLock lock(&mutex_);
    if (ended_) return false;
    from_worker_.push_back(message);
    return true;
  }
  bool WriteGarbage() {
    MutexLock lock(&mutex_);
    garbage_ = true;
    return !ended_;
  }
  bool Read(v1::ServerMessage& message) {
    MutexLock lock(&mutex_);
    const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return ended_ || !to_worker_.empty();
    };
    mutex_.Await(ready);
    if (to_worker_.empty()) return false;
    message = std::move(to_worker_.front());
    to_worker_.pop_front();
    return true;
  }
  absl::Status Finish() {
    MutexLock lock(&mutex_);
    return status_;
  }

 private:
  Mutex mutex_;
  std::deque<v1::ServerMessage> to_worker_;
  std::deque<v1::WorkerMessage> from_worker_;
  bool ended_ = false;
  bool garbage_ = false;
  absl::Status status_;
};

class FakeConnection : public ServerConnection {
 public:
  // What the next uploads answer once their bytes are read; nothing means success.
  std::deque<absl::Status> upload_answers;
  std::map<std::string, std::string> uploaded;  // bytes by path, or `checkpoint STEP`
  std::vector<v1::ArtifactHeader> headers;
  std::atomic<int> upload_count = 0;

  // The stream that the worker opens next, or has opened last and nobody asked for.
  std::shared_ptr<FakeStream> NextStream() {
    MutexLock lock(&mutex_);
    const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !streams_.empty(); };
    if (!mutex_.AwaitWithTimeout(ready, absl::Seconds(20))) {
      return std::make_shared<FakeStream>();
    }
    auto stream = streams_.front();
    streams_.pop_front();
    return stream;
  }
  // From now on every stream ends at once with this status.
  void Refuse(absl::Status status) {
    MutexLock lock(&mutex_);
    refusal_ = std::move(status);
  }
  int opened() {
    MutexLock lock(&mutex_);
    return opened_;
  }

  std::unique_ptr<SessionStream> OpenSession() override {
    MutexLock lock(&mutex_);
    ++opened_;
    auto stream = std::make_shared<FakeStream>();
    if (!refusal_.ok()) {
      stream->End(refusal_);
    } else {
      streams_.push_back(stream);
    }
    return std::make_unique<Adapter>(stream);
  }

  absl::StatusOr<v1::ModelFile> UploadArtifact(const v1::ArtifactHeader& header,
                                               const ByteSource& source) override {
    headers.push_back(header);
    ++upload_count;
    std::string bytes;
    while (static_cast<int64_t>(bytes.size()) < header.size_bytes()) {
      auto piece = source(static_cast<int64_t>(bytes.size()), 1000);
      if (!piece.ok()) return piece.status();
      bytes += *piece;
    }
    if (!upload_answers.empty()) {
      const absl::Status answer = upload_answers.front();
      upload_answers.pop_front();
      if (!answer.ok()) return answer;
    }
    const bool checkpoint = header.kind() == v1::ArtifactHeader::KIND_CHECKPOINT;
    uploaded[checkpoint ? "checkpoint " + std::to_string(header.step()) : header.path()] = bytes;
    return v1::ModelFile();
  }

 private:
  class Adapter : public SessionStream {
   public:
    explicit Adapter(std::shared_ptr<FakeStream> stream) : stream_(std::move(stream)) {}
    bool Write(const v1::WorkerMessage& message) override { return stream_->Write(message); }
    bool WriteGarbage() override { return stream_->WriteGarbage(); }
    bool Read(v1::ServerMessage& message) override { return stream_->Read(message); }
    void Cancel() override { stream_->End(absl::CancelledError("cancelled by the worker")); }
    absl::Status Finish() override { return stream_->Finish(); }

   private:
    std::shared_ptr<FakeStream> stream_;
  };

  Mutex mutex_;
  std::deque<std::shared_ptr<FakeStream>> streams_;
  absl::Status refusal_;
  int opened_ = 0;
};

}  // namespace trainyard
