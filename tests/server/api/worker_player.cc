#include "tests/server/api/worker_player.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/algorithms/registry.h"
#include "core/base/file_system.h"

namespace trainyard {

WorkerPlayer::WorkerPlayer(TestServer& server) : stub_(server.workers()) {}

WorkerPlayer::~WorkerPlayer() {
  if (stream_ != nullptr) Drop();
}

void WorkerPlayer::Hello(const std::string& attempt, const std::string& token,
                         const std::string& key) {
  context_ = std::make_unique<grpc::ClientContext>();
  context_->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  stream_ = stub_->Session(context_.get());
  v1::WorkerMessage message;
  message.mutable_hello()->set_attempt(attempt);
  message.mutable_hello()->set_token(token);
  message.mutable_hello()->set_session_key(key);
  message.mutable_hello()->set_pid(1);
  stream_->Write(message);
}

void WorkerPlayer::SendEvents(int64_t first_sequence, const std::vector<v1::JobEvent>& events) {
  v1::WorkerMessage message;
  message.mutable_events()->set_first_sequence(first_sequence);
  for (const v1::JobEvent& event : events) *message.mutable_events()->add_events() = event;
  stream_->Write(message);
  const int64_t last = first_sequence + static_cast<int64_t>(events.size()) - 1;
  while (true) {
    const v1::ServerMessage answer = ReadUntil(v1::ServerMessage::kAck);
    if (!answer.has_ack() || answer.ack().sequence() >= last) return;
  }
}

v1::ServerMessage WorkerPlayer::Read() {
  v1::ServerMessage message;
  if (!stream_->Read(&message)) message.Clear();
  return message;
}

v1::ServerMessage WorkerPlayer::ReadUntil(v1::ServerMessage::MessageCase kind) {
  while (true) {
    v1::ServerMessage message = Read();
    const auto found = message.message_case();
    if (found == kind || found == v1::ServerMessage::MESSAGE_NOT_SET) return message;
  }
}

grpc::Status WorkerPlayer::Finish() {
  stream_->WritesDone();
  v1::ServerMessage rest;
  while (stream_->Read(&rest)) {
  }
  const grpc::Status status = stream_->Finish();
  stream_ = nullptr;
  return status;
}

void WorkerPlayer::Drop() {
  context_->TryCancel();
  (void)Finish();
}

grpc::Status WorkerPlayer::UploadArtifact(const v1::ArtifactHeader& header, std::string_view bytes,
                                          v1::UploadArtifactResponse& response) {
  grpc::ClientContext context;
  const auto writer = stub_->UploadArtifact(&context, &response);
  v1::UploadArtifactRequest message;
  *message.mutable_header() = header;
  bool sent = writer->Write(message);
  if (sent && !bytes.empty()) {
    *message.mutable_chunk() = ChunkOf(bytes, 0);
    sent = writer->Write(message);
  }
  writer->WritesDone();
  return writer->Finish();
}

v1::JobEvent MetricEvent(std::string_view name, int64_t step, double value) {
  v1::JobEvent event;
  event.mutable_time()->set_seconds(1'600'000'000 + step);
  v1::MetricPoint& point = *event.mutable_metrics()->add_points();
  point.set_name(std::string(name));
  point.set_step(step);
  point.set_value(value);
  return event;
}

namespace {

// Lets an algorithm train; listens to nothing.
class QuietContext final : public TrainingContext {
 public:
  void ReportProgress(const v1::Progress&) override {}
  void ReportMetrics(int64_t, const std::vector<std::pair<std::string, double>>&) override {}
  void Log(v1::LogLine::Severity, std::string_view) override {}
  absl::Status CheckCancelled() override { return absl::OkStatus(); }
  absl::Status SaveCheckpoint(int64_t, std::string_view) override { return absl::OkStatus(); }
  absl::StatusOr<std::optional<std::string>> LoadCheckpoint() override { return std::nullopt; }
  const std::filesystem::path& model_folder() const override { return folder_.path(); }
  int threads() const override { return 1; }
  int attempt() const override { return 1; }

 private:
  TempFolder folder_;
};

}  // namespace

v1::Job TrainAsWorker(TestServer& server, const std::string& job) {
  const std::string attempt = job + "/attempts/1";
  WorkerPlayer worker(server);
  worker.Hello(attempt, server.executor().WaitForLaunch(attempt).token);
  const v1::Assignment assignment = worker.Read().assignment();
  const Algorithm* algorithm = FindAlgorithm(AlgorithmNameOf(assignment.spec()));
  EXPECT_NE(algorithm, nullptr);
  Tables tables;
  for (const auto& table : assignment.tables()) {
    tables[table.name()] = OpenTableCache(table.path()).value();
  }
  QuietContext context;
  const TrainingResult result = algorithm->Train(assignment.spec(), tables, context).value();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(context.model_folder())) {
    if (!entry.is_regular_file()) continue;
    v1::ArtifactHeader header;
    header.set_attempt(attempt);
    header.set_session_key("key");
    header.set_kind(v1::ArtifactHeader::KIND_MODEL_FILE);
    header.set_path(entry.path().lexically_relative(context.model_folder()).string());
    const std::string bytes = ReadFile(entry.path()).value();
    header.set_size_bytes(static_cast<int64_t>(bytes.size()));
    v1::UploadArtifactResponse response;
    const grpc::Status status = worker.UploadArtifact(header, bytes, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  v1::WorkerMessage message;
  v1::Finished& finished = *message.mutable_finished();
  finished.set_end_cause(v1::Attempt::END_CAUSE_SUCCEEDED);
  *finished.mutable_report() = result.report;
  *finished.mutable_manifest() = result.manifest;
  finished.mutable_manifest()->set_format_version(1);
  finished.mutable_manifest()->set_algorithm(std::string(algorithm->name()));
  *finished.mutable_manifest()->mutable_spec() = assignment.spec();
  worker.Send(message);
  EXPECT_TRUE(worker.ReadUntil(v1::ServerMessage::kFinishedAck).has_finished_ack());
  worker.Finish();
  server.executor().Exit(attempt, 0);
  const auto parsed = JobName::Parse(job);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < deadline) {
    const auto read = server.manager().Get(*parsed);
    if (read.ok() && read->state() == v1::Job::STATE_SUCCEEDED) return *read;
    std::this_thread::yield();
  }
  ADD_FAILURE() << job << " did not end well";
  return v1::Job();
}

std::string TrainModel(TestServer& server, const std::string& job_id, const std::string& table) {
  v1::Dataset dataset;
  const grpc::Status uploaded = Upload(*server.datasets(), "table", table, dataset);
  EXPECT_TRUE(uploaded.ok()) << uploaded.error_message();
  v1::CreateJobRequest request;
  request.set_parent("projects/default");
  request.set_job_id(job_id);
  auto& spec = *request.mutable_job()->mutable_spec()->mutable_hierarchical_shrinkage();
  spec.mutable_input()->set_dataset(dataset.name());
  spec.mutable_input()->add_target_columns("target");
  for (const auto& column : dataset.latest_version().table().columns()) {
    if (column.name() == "empty") spec.mutable_input()->add_ignored_columns("empty");
  }
  spec.set_lambda(1);
  v1::Job job;
  const grpc::Status status = Call(*server.jobs(), &v1::JobService::Stub::CreateJob, request, job);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return TrainAsWorker(server, job.name()).model();
}

}  // namespace trainyard
