// What a worker needs of its connection to the server, without saying how it is made.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainyard/v1/model.pb.h"
#include "trainyard/v1/worker_service.pb.h"

namespace trainyard {

// One session stream. One thread may read while another writes; Cancel may be called by any.
class SessionStream {
 public:
  virtual ~SessionStream() = default;
  // Blocks while the server does not take it. False when the stream is broken; Read returns false
  // soon then.
  virtual bool Write(const v1::WorkerMessage& message) = 0;
  // Sends bytes that are no WorkerMessage; see FaultHooks.
  virtual bool WriteGarbage() = 0;
  // Blocks. False when nothing more will come.
  virtual bool Read(v1::ServerMessage& message) = 0;
  // Makes everything that blocks return soon.
  virtual void Cancel() = 0;
  // Why the stream ended. Called once, when no read or write is under way.
  virtual absl::Status Finish() = 0;
};

// Bytes to upload. Called with growing offsets from 0, again from 0 when an upload is repeated;
// gives the next bytes, at most `max_bytes`, at least one.
using ByteSource = std::function<absl::StatusOr<std::string>(int64_t offset, int64_t max_bytes)>;

// Thread-safe.
class ServerConnection {
 public:
  virtual ~ServerConnection() = default;
  // Waits a moment for the server to be there; errors show when the stream is used.
  virtual std::unique_ptr<SessionStream> OpenSession() = 0;
  // Sends one artifact of `header.size_bytes()` bytes; returns what was stored. One try.
  virtual absl::StatusOr<v1::ModelFile> UploadArtifact(const v1::ArtifactHeader& header,
                                                       const ByteSource& source) = 0;
};

}  // namespace trainyard
