// A job manager with everything around it under the test's control.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/testing/fake_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/scheduler/job_manager_impl.h"
#include "tests/server/scheduler/testing/fake_catalogue.h"
#include "tests/server/scheduler/testing/fakes.h"

namespace trainyard {

inline JobName Name(const std::string& id) { return {"p", id}; }
inline std::string FullName(const std::string& id) { return Name(id).ToString(); }
inline std::string AttemptOf(const std::string& id, int attempt = 1) {
  return absl::StrCat(FullName(id), "/attempts/", attempt);
}

inline v1::Job NewJob(const std::string& id, int cpu_threads = 1) {
  v1::Job job;
  job.set_name(FullName(id));
  job.set_algorithm("diagnostic");
  job.mutable_spec()->mutable_diagnostic()->set_steps(3);
  job.mutable_resources()->set_cpu_threads(cpu_threads);
  return job;
}

// What one call answered.
template <typename T>
struct Answer {
  std::optional<T> value;
  bool arrived() const { return value.has_value(); }
};

class ManagerTest : public testing::Test {
 protected:
  ManagerTest() {
    options_.capacity = {4, 0, int64_t{8} << 30};
    options_.worker_address = "unix:/tmp/none";
  }

  void Start() {
    auto runtime = std::make_unique<ManualRuntime>();
    runtime_ = runtime.get();
    runtime_->set_wait_hook([this] {
      while (catalogue_.Commit() > 0) {
      }
    });
    JobManager::Dependencies dependencies;
    dependencies.catalogue = &catalogue_;
    dependencies.blobs = nullptr;
    dependencies.executor = &executor_;
    dependencies.clock = &clock_;
    dependencies.assign_tables = [this](const v1::TrainingSpec&) { return tables_; };
    manager_ = std::make_unique<JobManagerImpl>(options_, dependencies, std::move(runtime));
    ASSERT_TRUE(manager_->Recover().ok());
  }
  // kill -9 of the server: what was not committed is lost.
  void Crash() {
    catalogue_.LosePending();
    manager_ = nullptr;
    executor_.LoseServer();
  }
  void Restart() {
    Crash();
    Start();
    Run();
  }

  // Runs everything that can run without time passing.
  void Run() {
    bool again = true;
    while (again) {
      again = runtime_->RunPosted() > 0;
      again = catalogue_.Commit() > 0 || again;
      again = executor_.DeliverExits() > 0 || again;
      if (runtime_->wake_time() <= clock_.Monotonic()) {
        runtime_->Tick();
        again = true;
      }
    }
  }
  // Lets time pass, stopping wherever something is due.
  void Advance(absl::Duration duration) {
    Run();
    const absl::Duration end = clock_.Monotonic() + duration;
    while (clock_.Monotonic() < end) {
      clock_.Advance(std::min(end, std::max(runtime_->wake_time(), clock_.Monotonic())) -
                     clock_.Monotonic());
      Run();
    }
  }

  std::shared_ptr<Answer<absl::StatusOr<v1::Job>>> BeginCreate(v1::Job job,
                                                               const std::string& request_id = "",
                                                               const std::string& hash = "h") {
    auto answer = std::make_shared<Answer<absl::StatusOr<v1::Job>>>();
    manager_->Create(std::move(job), request_id, hash,
                     [answer](absl::StatusOr<v1::Job> result) { answer->value = result; });
    return answer;
  }
  absl::StatusOr<v1::Job> Create(v1::Job job, const std::string& request_id = "",
                                 const std::string& hash = "h") {
    auto answer = BeginCreate(std::move(job), request_id, hash);
    Run();
    return *answer->value;
  }
  absl::StatusOr<v1::Job> Cancel(const std::string& id, const std::string& etag = "") {
    Answer<absl::StatusOr<v1::Job>> answer;
    manager_->Cancel(Name(id), etag,
                     [&answer](absl::StatusOr<v1::Job> result) { answer.value = result; });
    Run();
    return *answer.value;
  }
  absl::Status Delete(const std::string& id, const std::string& etag = "") {
    Answer<absl::Status> answer;
    manager_->Delete(Name(id), etag, [&answer](absl::Status result) { answer.value = result; });
    Run();
    return answer.value.value_or(absl::UnknownError("no answer yet"));
  }
  v1::Job Get(const std::string& id) {
    absl::StatusOr<v1::Job> job = manager_->Get(Name(id));
    EXPECT_TRUE(job.ok()) << job.status();
    return job.value_or(v1::Job());
  }
  v1::Job::State StateOf(const std::string& id) { return Get(id).state(); }
  v1::Attempt::EndCause CauseOf(const std::string& id, int attempt = 1) {
    const v1::Job job = Get(id);
    if (job.attempts_size() < attempt) return v1::Attempt::END_CAUSE_UNSPECIFIED;
    return job.attempts(attempt - 1).end_cause();
  }

  // A worker as the transport shows it to the manager.
  struct Worker {
    std::string attempt;
    std::string session_key = "key";
    int64_t session = 0;
    int64_t sent = 0;
    std::shared_ptr<FakeLink> link;
  };
  absl::StatusOr<int64_t> Hello(Worker& worker, const std::string& token) {
    v1::Hello hello;
    hello.set_attempt(worker.attempt);
    hello.set_token(token);
    hello.set_session_key(worker.session_key);
    hello.set_pid(99);
    auto link = std::make_shared<FakeLink>();
    absl::StatusOr<int64_t> session = manager_->OpenSession(hello, link);
    if (session.ok()) {
      worker.session = *session;
      worker.link = link;
    }
    return session;
  }
  // Connects the worker of a launched attempt and waits for its assignment.
  Worker Connect(const std::string& id, int attempt = 1) {
    Worker worker;
    worker.attempt = AttemptOf(id, attempt);
    const auto process = executor_.Find(worker.attempt);
    EXPECT_TRUE(process.has_value()) << worker.attempt << " was not launched";
    if (!process.has_value()) return worker;
    const auto session = Hello(worker, process->token);
    EXPECT_TRUE(session.ok()) << session.status();
    Run();
    return worker;
  }
  // Creates a job and connects its worker.
  Worker RunJob(const std::string& id) {
    EXPECT_TRUE(Create(NewJob(id)).ok());
    return Connect(id);
  }
  static v1::WorkerEvents Metrics(int64_t first_sequence, int count) {
    v1::WorkerEvents events;
    events.set_first_sequence(first_sequence);
    for (int i = 0; i < count; ++i) {
      auto* point = events.add_events()->mutable_metrics()->add_points();
      point->set_name("loss");
      point->set_step(first_sequence + i);
      point->set_value(static_cast<double>(first_sequence + i));
    }
    return events;
  }
  absl::Status SendMetrics(Worker& worker, int count) {
    const absl::Status status = manager_->OnEvents(worker.session, Metrics(worker.sent + 1, count));
    if (status.ok()) worker.sent += count;
    return status;
  }
  absl::Status SendProgress(Worker& worker, const std::string& phase, int step, int step_count) {
    v1::WorkerEvents events;
    events.set_first_sequence(++worker.sent);
    auto* progress = events.add_events()->mutable_progress();
    progress->set_phase(phase);
    progress->set_step(step);
    progress->set_step_count(step_count);
    return manager_->OnEvents(worker.session, events);
  }
  v1::ArtifactHeader Header(const Worker& worker, const std::string& path) {
    v1::ArtifactHeader header;
    header.set_attempt(worker.attempt);
    header.set_session_key(worker.session_key);
    header.set_kind(v1::ArtifactHeader::KIND_MODEL_FILE);
    header.set_path(path);
    return header;
  }
  absl::Status Upload(const Worker& worker, const std::string& path = "model.bin") {
    return manager_->AddArtifact(Header(worker, path), {std::string(64, 'a'), 16}, nullptr);
  }
  absl::Status Finish(const Worker& worker, v1::Attempt::EndCause cause,
                      const std::string& message = "") {
    v1::Finished finished;
    finished.set_end_cause(cause);
    finished.set_last_sequence(worker.sent);
    if (!message.empty()) {
      finished.mutable_error()->set_code(3);
      finished.mutable_error()->set_message(message);
    }
    if (cause == v1::Attempt::END_CAUSE_SUCCEEDED) {
      finished.mutable_report()->set_wall_seconds(1.5);
      finished.mutable_manifest()->set_algorithm("diagnostic");
    }
    return manager_->OnFinished(worker.session, finished);
  }
  // A success with these small files.
  absl::Status FinishWith(const Worker& worker, const ModelContents& files) {
    v1::Finished finished;
    finished.set_end_cause(v1::Attempt::END_CAUSE_SUCCEEDED);
    finished.set_last_sequence(worker.sent);
    finished.mutable_manifest()->set_algorithm("diagnostic");
    for (const auto& [path, data] : files) {
      v1::SmallModelFile& file = *finished.add_small_files();
      file.set_path(path);
      file.set_data(data);
    }
    return manager_->OnFinished(worker.session, finished);
  }
  // Uploads a model, finishes and exits.
  void Succeed(const Worker& worker) {
    EXPECT_TRUE(Upload(worker).ok());
    EXPECT_TRUE(Finish(worker, v1::Attempt::END_CAUSE_SUCCEEDED).ok());
    Run();
    EXPECT_TRUE(worker.link->finish_acknowledged());
    executor_.Exit(worker.attempt, {.exit_code = 0});
    Run();
  }
  // The states that a job went through, by its stored events; checks that sequences are dense.
  std::vector<v1::Job::State> History(const std::string& id) {
    std::vector<v1::Job::State> states;
    int64_t sequence = 0;
    for (const v1::JobEvent& event : catalogue_.EventsOf(FullName(id))) {
      EXPECT_EQ(event.sequence(), ++sequence);
      if (event.has_state_change()) states.push_back(event.state_change().to());
    }
    return states;
  }

  FakeClock clock_;
  FakeCatalogue catalogue_;
  FakeExecutor executor_;
  JobManager::Options options_;
  absl::StatusOr<std::vector<v1::AssignedTable>> tables_ = std::vector<v1::AssignedTable>();
  ManualRuntime* runtime_ = nullptr;
  std::unique_ptr<JobManagerImpl> manager_;
};

}  // namespace trainyard
