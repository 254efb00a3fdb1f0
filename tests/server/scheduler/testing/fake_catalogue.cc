#include "tests/server/scheduler/testing/fake_catalogue.h"

#include <algorithm>
#include <span>

#include "absl/strings/str_cat.h"

namespace trainyard {

// Writes into the state and remembers how to undo each write.
class FakeTransaction : public CatalogueTransaction {
 public:
  explicit FakeTransaction(FakeCatalogue::State& state) : state_(state) {}

  void Undo() {
    for (auto undo = undo_.rbegin(); undo != undo_.rend(); ++undo) (*undo)();
  }

  absl::Status InsertJob(const v1::Job& job) override {
    if (state_.jobs.contains(job.name())) return absl::AlreadyExistsError(job.name());
    Put(state_.jobs, job.name(), job);
    return absl::OkStatus();
  }
  absl::Status UpdateJob(const v1::Job& job) override {
    if (!state_.jobs.contains(job.name())) return absl::NotFoundError(job.name());
    Put(state_.jobs, job.name(), job);
    return absl::OkStatus();
  }
  absl::Status DeleteJob(const JobName& name) override {
    const std::string key = name.ToString();
    if (!state_.jobs.contains(key)) return absl::NotFoundError(key);
    state_.jobs.erase(key);
    state_.events.erase(key);
    state_.attempts.erase(key);
    state_.checkpoints.erase(key);
    std::erase_if(state_.requests,
                  [&](const auto& entry) { return entry.second.job.ToString() == key; });
    return absl::OkStatus();
  }
  absl::StatusOr<v1::Job> GetJob(const JobName& name) override {
    auto found = state_.jobs.find(name.ToString());
    if (found == state_.jobs.end()) return absl::NotFoundError(name.ToString());
    return found->second;
  }
  absl::Status AppendEvents(const JobName& job, std::span<const v1::JobEvent> events) override {
    std::vector<v1::JobEvent>& stored = state_.events[job.ToString()];
    const size_t before = stored.size();
    undo_.push_back([&stored, before] { stored.resize(before); });
    for (const v1::JobEvent& event : events) {
      if (event.sequence() != static_cast<int64_t>(stored.size()) + 1) {
        return absl::FailedPreconditionError(
            absl::StrCat("event ", event.sequence(), " after ", stored.size()));
      }
      stored.push_back(event);
    }
    return absl::OkStatus();
  }
  absl::Status PutAttempt(const AttemptRecord& attempt) override {
    Put(state_.attempts[attempt.name.job.ToString()], attempt.name.attempt, attempt);
    return absl::OkStatus();
  }
  absl::StatusOr<std::optional<RequestRecord>> FindRequest(std::string_view project,
                                                           std::string_view request_id) override {
    auto found = state_.requests.find({std::string(project), std::string(request_id)});
    if (found == state_.requests.end()) return std::nullopt;
    return found->second;
  }
  absl::Status PutRequest(std::string_view project, std::string_view request_id,
                          const RequestRecord& record) override {
    Put(state_.requests, std::pair(std::string(project), std::string(request_id)), record);
    return absl::OkStatus();
  }
  absl::Status PutCheckpoint(const JobName& job, int64_t, std::string_view blob_sha256,
                             int64_t) override {
    Put(state_.checkpoints, job.ToString(), std::string(blob_sha256));
    return absl::OkStatus();
  }
  absl::Status PutDatasetVersion(const v1::Dataset&) override { return FakeCatalogue::Absent(); }
  absl::StatusOr<v1::Dataset> GetDataset(const DatasetName&) override {
    return FakeCatalogue::Absent();
  }
  absl::Status DeleteDataset(const DatasetName&) override { return FakeCatalogue::Absent(); }
  absl::Status InsertModel(const v1::Model& model, const ModelContents& contents) override {
    if (state_.models.contains(model.name())) return absl::AlreadyExistsError(model.name());
    Put(state_.models, model.name(), model);
    Put(state_.contents, model.name(), contents);
    return absl::OkStatus();
  }
  absl::Status DeleteModel(const ModelName&) override { return FakeCatalogue::Absent(); }

 private:
  template <typename Map, typename Key, typename Value>
  void Put(Map& map, const Key& key, const Value& value) {
    auto found = map.find(key);
    if (found == map.end()) {
      undo_.push_back([&map, key] { map.erase(key); });
    } else {
      undo_.push_back([&map, key, old = found->second] { map[key] = old; });
    }
    map[key] = value;
  }

  FakeCatalogue::State& state_;
  std::vector<std::function<void()>> undo_;
};

int FakeCatalogue::Commit() {
  std::vector<std::pair<Done, absl::Status>> results;
  {
    MutexLock lock(&mutex_);
    for (Unit& unit : pending_) {
      FakeTransaction transaction(state_);
      absl::Status status = failures_ > 0 ? failure_ : unit.work(transaction);
      if (failures_ > 0) --failures_;
      if (!status.ok()) transaction.Undo();
      ++committed_;
      results.emplace_back(std::move(unit.done), std::move(status));
    }
    pending_.clear();
  }
  for (auto& [done, status] : results) done(status);
  return static_cast<int>(results.size());
}

void FakeCatalogue::LosePending() {
  MutexLock lock(&mutex_);
  pending_.clear();
}

int FakeCatalogue::pending() const {
  MutexLock lock(&mutex_);
  return static_cast<int>(pending_.size());
}

int64_t FakeCatalogue::committed_units() const {
  MutexLock lock(&mutex_);
  return committed_;
}

void FakeCatalogue::FailNext(int count, absl::Status status) {
  MutexLock lock(&mutex_);
  failures_ = count;
  failure_ = std::move(status);
}

std::vector<v1::JobEvent> FakeCatalogue::EventsOf(const std::string& job) const {
  MutexLock lock(&mutex_);
  auto found = state_.events.find(job);
  return found == state_.events.end() ? std::vector<v1::JobEvent>() : found->second;
}

std::vector<AttemptRecord> FakeCatalogue::AttemptsOf(const std::string& job) const {
  MutexLock lock(&mutex_);
  std::vector<AttemptRecord> attempts;
  auto found = state_.attempts.find(job);
  if (found == state_.attempts.end()) return attempts;
  for (const auto& [number, attempt] : found->second) attempts.push_back(attempt);
  return attempts;
}

std::map<std::string, v1::Job> FakeCatalogue::Jobs() const {
  MutexLock lock(&mutex_);
  return state_.jobs;
}

std::map<std::string, ModelContents> FakeCatalogue::Contents() const {
  MutexLock lock(&mutex_);
  return state_.contents;
}

std::map<std::string, v1::Model> FakeCatalogue::Models() const {
  MutexLock lock(&mutex_);
  return state_.models;
}

void FakeCatalogue::AddModel(const v1::Model& model) {
  MutexLock lock(&mutex_);
  state_.models[model.name()] = model;
}

void FakeCatalogue::Write(Work work, Done done) {
  MutexLock lock(&mutex_);
  pending_.push_back({std::move(work), std::move(done)});
}

absl::StatusOr<v1::Job> FakeCatalogue::GetJob(const JobName& name) {
  MutexLock lock(&mutex_);
  auto found = state_.jobs.find(name.ToString());
  if (found == state_.jobs.end()) {
    return absl::NotFoundError(absl::StrCat("job ", name.ToString(), " does not exist"));
  }
  return found->second;
}

absl::StatusOr<JobPage> FakeCatalogue::ListJobs(const JobQuery& query) {
  MutexLock lock(&mutex_);
  JobPage page;
  const std::string prefix = absl::StrCat("projects/", query.project, "/");
  for (const auto& [name, job] : state_.jobs) {
    if (name.starts_with(prefix)) page.jobs.push_back(job);
  }
  return page;
}

absl::Status FakeCatalogue::ForEachUnfinishedJob(
    const std::function<void(v1::Job job, std::vector<AttemptRecord> attempts)>& visit) {
  std::vector<v1::Job> jobs;
  for (auto& [name, job] : Jobs()) {
    if (job.state() < v1::Job::STATE_SUCCEEDED) jobs.push_back(job);
  }
  std::sort(jobs.begin(), jobs.end(), [](const v1::Job& a, const v1::Job& b) {
    return std::pair(a.create_time().seconds(), a.create_time().nanos()) <
           std::pair(b.create_time().seconds(), b.create_time().nanos());
  });
  for (v1::Job& job : jobs) {
    std::vector<AttemptRecord> attempts = AttemptsOf(job.name());
    std::erase_if(attempts, [](const AttemptRecord& attempt) { return attempt.ended; });
    visit(std::move(job), std::move(attempts));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::JobEvent>> FakeCatalogue::ReadEvents(const JobName& job,
                                                                    int64_t from_sequence,
                                                                    int max_events,
                                                                    int64_t max_bytes) {
  MutexLock lock(&mutex_);
  std::vector<v1::JobEvent> events;
  auto found = state_.events.find(job.ToString());
  if (found == state_.events.end()) return absl::NotFoundError(job.ToString());
  int64_t bytes = 0;
  for (size_t i = static_cast<size_t>(from_sequence - 1); i < found->second.size(); ++i) {
    const v1::JobEvent& event = found->second[i];
    bytes += static_cast<int64_t>(event.ByteSizeLong());
    if (!events.empty() && (bytes > max_bytes || static_cast<int>(events.size()) >= max_events)) {
      break;
    }
    events.push_back(event);
  }
  return events;
}

absl::StatusOr<std::optional<std::string>> FakeCatalogue::CheckpointOf(const JobName& job) {
  MutexLock lock(&mutex_);
  auto found = state_.checkpoints.find(job.ToString());
  if (found == state_.checkpoints.end()) return std::nullopt;
  return found->second;
}

}  // namespace trainyard
