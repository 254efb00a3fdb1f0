// How trainings end, and what becomes of their files.
#include "server/worker/training_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <new>
#include <stdexcept>
#include <thread>

#include "server/execution/small_models.h"
#include "server/worker/worker_context.h"
#include "tests/server/worker/fakes.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;

// Too large to travel with the end.
const std::string kLarge(kMaxSmallFileBytes + 1, 'l');

using TrainFunction = std::function<absl::StatusOr<TrainingResult>(TrainingContext&)>;

class FunctionAlgorithm : public Algorithm {
 public:
  explicit FunctionAlgorithm(TrainFunction train) : train_(std::move(train)) {}
  std::string_view name() const override { return "function"; }
  std::string_view title() const override { return ""; }
  std::string_view citation() const override { return ""; }
  void Resolve(const TableSchemas&, std::string_view, v1::TrainingSpec&,
               Violations&) const override {}
  int64_t EstimateMemory(const v1::TrainingSpec&, const TableSchemas&) const override { return 0; }
  absl::StatusOr<TrainingResult> Train(const v1::TrainingSpec&, const Tables&,
                                       TrainingContext& context) const override {
    return train_(context);
  }
  absl::StatusOr<std::unique_ptr<Predictor>> LoadPredictor(
      const v1::ModelManifest&, const std::filesystem::path&) const override {
    return absl::UnimplementedError("");
  }

 private:
  TrainFunction train_;
};

class TrainingRunTest : public ::testing::Test {
 protected:
  TrainingRunTest() {
    std::string name = "/tmp/trainyard-run-XXXXXX";
    folder_ = mkdtemp(name.data());
    assignment_.set_attempt(3);
    assignment_.mutable_resources()->set_cpu_threads(2);
    assignment_.mutable_spec()->mutable_diagnostic()->set_steps(7);
  }
  ~TrainingRunTest() override { std::filesystem::remove_all(folder_); }

  v1::Finished Run(const TrainFunction& train) {
    const ArtifactUploader uploader(
        {.attempt = "projects/p/jobs/j/attempts/3",
         .session_key = "key",
         .check_cancelled =
             [this] { return cancelled_ ? absl::CancelledError("") : absl::OkStatus(); },
         .give_up_after = give_up_after_,
         .first_pause = absl::Milliseconds(1)},
        connection_);
    WorkerContext context(assignment_, folder_,
                          {.events = &events_, .cancelled = &cancelled_, .uploader = &uploader});
    const FunctionAlgorithm algorithm(train);
    return RunTraining(assignment_, &algorithm, context, uploader, Clock::Real());
  }
  void Write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }

  std::filesystem::path folder_;
  v1::Assignment assignment_;
  FakeConnection connection_;
  EventBuffer events_{EventBuffer::Options{}};
  std::atomic<bool> cancelled_ = false;
  absl::Duration give_up_after_ = absl::Minutes(1);
};

TEST_F(TrainingRunTest, SuccessUploadsTheModelAndFillsTheReport) {
  const std::string large(2'500'000, 'x');
  const v1::Finished finished =
      Run([&](TrainingContext& context) -> absl::StatusOr<TrainingResult> {
        EXPECT_EQ(context.threads(), 2);
        EXPECT_EQ(context.attempt(), 3);
        Write("b.bin", large);
        Write("trees/a.bin", "abc");
        Write("empty", "");
        return TrainingResult();
      });
  EXPECT_EQ(finished.end_cause(), v1::Attempt::END_CAUSE_SUCCEEDED);
  EXPECT_FALSE(finished.has_error());
  EXPECT_GT(finished.report().wall_seconds(), 0);
  EXPECT_GT(finished.report().peak_memory_bytes(), 1 << 20);
  EXPECT_EQ(finished.manifest().format_version(), 1);
  EXPECT_EQ(finished.manifest().algorithm(), "function");
  EXPECT_EQ(finished.manifest().spec().diagnostic().steps(), 7);
  EXPECT_EQ(finished.manifest().trainyard_version(), TRAINYARD_VERSION);
  ASSERT_EQ(connection_.uploaded.size(), 1u);
  EXPECT_EQ(connection_.uploaded["b.bin"], large);
  // The others travel with the end.
  ASSERT_EQ(finished.small_files_size(), 3);
  EXPECT_EQ(finished.small_files(0).path(), "empty");
  EXPECT_EQ(finished.small_files(0).data(), "");
  EXPECT_EQ(finished.small_files(1).path(), "manifest.json");
  EXPECT_THAT(finished.small_files(1).data(), HasSubstr("\"format_version\": 1"));
  EXPECT_EQ(finished.small_files(2).path(), "trees/a.bin");
  EXPECT_EQ(finished.small_files(2).data(), "abc");
  EXPECT_EQ(connection_.headers[0].session_key(), "key");
  EXPECT_EQ(connection_.headers[0].kind(), v1::ArtifactHeader::KIND_MODEL_FILE);
}

TEST_F(TrainingRunTest, SmallFilesTogetherStayWithinTheirBound) {
  const std::string half(kMaxSmallFileBytes / 2, 'h');
  const v1::Finished finished = Run([&](TrainingContext&) -> absl::StatusOr<TrainingResult> {
    for (const char* name : {"a", "b", "c"}) Write(name, half);
    return TrainingResult();
  });
  ASSERT_EQ(finished.small_files_size(), 2);
  EXPECT_EQ(finished.small_files(0).data(), half);
  EXPECT_EQ(finished.small_files(1).data(), half);
  EXPECT_EQ(connection_.uploaded.size(), 2u) << "c and manifest.json";
  EXPECT_EQ(connection_.uploaded["c"], half);
}

TEST_F(TrainingRunTest, ErrorsBecomeTheirCauses) {
  const std::vector<std::pair<absl::Status, v1::Attempt::EndCause>> cases = {
      {absl::InvalidArgumentError("e"), v1::Attempt::END_CAUSE_USER_ERROR},
      {absl::FailedPreconditionError("e"), v1::Attempt::END_CAUSE_USER_ERROR},
      {absl::OutOfRangeError("e"), v1::Attempt::END_CAUSE_DIVERGED},
      {absl::ResourceExhaustedError("e"), v1::Attempt::END_CAUSE_OUT_OF_MEMORY},
      {absl::CancelledError("e"), v1::Attempt::END_CAUSE_CANCELLED},
      {absl::InternalError("e"), v1::Attempt::END_CAUSE_WORKER_LOST},
      {absl::UnavailableError("e"), v1::Attempt::END_CAUSE_WORKER_LOST},
  };
  for (const auto& [status, cause] : cases) {
    const v1::Finished finished = Run(
        [&status = status](TrainingContext&) -> absl::StatusOr<TrainingResult> { return status; });
    EXPECT_EQ(finished.end_cause(), cause) << status;
    EXPECT_EQ(finished.error().code(), static_cast<int>(status.code()));
    EXPECT_EQ(finished.error().message(), "e");
  }
  EXPECT_TRUE(connection_.uploaded.empty());
}

TEST_F(TrainingRunTest, ExceptionsEndTheAttemptNotTheProcess) {
  v1::Finished finished =
      Run([](TrainingContext&) -> absl::StatusOr<TrainingResult> { throw std::bad_alloc(); });
  EXPECT_EQ(finished.end_cause(), v1::Attempt::END_CAUSE_OUT_OF_MEMORY);
  finished = Run([](TrainingContext&) -> absl::StatusOr<TrainingResult> {
    throw std::runtime_error("matrix is upside down");
  });
  EXPECT_EQ(finished.end_cause(), v1::Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_THAT(finished.error().message(), HasSubstr("matrix is upside down"));
  finished = Run([](TrainingContext&) -> absl::StatusOr<TrainingResult> { throw 7; });
  EXPECT_EQ(finished.end_cause(), v1::Attempt::END_CAUSE_WORKER_LOST);
}

TEST_F(TrainingRunTest, CancelledBeforeTheStartDoesNotTrain) {
  cancelled_ = true;
  const v1::Finished finished = Run([](TrainingContext&) -> absl::StatusOr<TrainingResult> {
    ADD_FAILURE() << "trained";
    return TrainingResult();
  });
  EXPECT_EQ(finished.end_cause(), v1::Attempt::END_CAUSE_CANCELLED);
}

TEST_F(TrainingRunTest, DamagedTableIsNotTheUsersFault) {
  auto& table = *assignment_.add_tables();
  table.set_name("projects/p/datasets/d/versions/1");
  table.set_path((folder_ / "none").string());
  const v1::Finished finished =
      Run([](TrainingContext&) -> absl::StatusOr<TrainingResult> { return TrainingResult(); });
  EXPECT_EQ(finished.end_cause(), v1::Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_THAT(finished.error().message(), HasSubstr("projects/p/datasets/d/versions/1"));
}

TEST_F(TrainingRunTest, UploadsAreRepeatedWhileTheServerIsAway) {
  connection_.upload_answers = {absl::UnavailableError("restart"), absl::UnavailableError("again"),
                                absl::ResourceExhaustedError("disk full"), absl::OkStatus()};
  const v1::Finished finished = Run([&](TrainingContext&) -> absl::StatusOr<TrainingResult> {
    Write("m", kLarge);
    return TrainingResult();
  });
  EXPECT_EQ(finished.end_cause(), v1::Attempt::END_CAUSE_SUCCEEDED);
  EXPECT_EQ(connection_.headers.size(), 4u);
  EXPECT_EQ(connection_.uploaded["m"], kLarge);
}

TEST_F(TrainingRunTest, UploadsEndWithAFullDiskOrARefusal) {
  const auto train = [&](TrainingContext&) -> absl::StatusOr<TrainingResult> {
    Write("m", kLarge);
    return TrainingResult();
  };
  connection_.upload_answers.assign(10, absl::ResourceExhaustedError("disk full"));
  v1::Finished finished = Run(train);
  EXPECT_EQ(finished.end_cause(), v1::Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_THAT(finished.error().message(), HasSubstr("model file m: disk full"));
  EXPECT_EQ(connection_.headers.size(), 3u);
  connection_.upload_answers = {absl::FailedPreconditionError("the attempt has ended")};
  finished = Run(train);
  EXPECT_EQ(finished.end_cause(), v1::Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_EQ(connection_.headers.size(), 4u);
}

TEST_F(TrainingRunTest, UploadsEndWithCancellation) {
  connection_.upload_answers.assign(1000, absl::UnavailableError("away"));
  const v1::Finished finished =
      Run([&](TrainingContext& context) -> absl::StatusOr<TrainingResult> {
        std::thread canceller([&] {
          while (connection_.upload_count == 0) std::this_thread::yield();
          cancelled_ = true;
        });
        const absl::Status status = context.SaveCheckpoint(5, "state");
        canceller.join();
        EXPECT_TRUE(absl::IsCancelled(status)) << status;
        return status;
      });
  EXPECT_EQ(finished.end_cause(), v1::Attempt::END_CAUSE_CANCELLED);
}

TEST_F(TrainingRunTest, CheckpointsGoUpAndComeBack) {
  Run([&](TrainingContext& context) -> absl::StatusOr<TrainingResult> {
    EXPECT_EQ(*context.LoadCheckpoint(), std::nullopt);
    EXPECT_TRUE(context.SaveCheckpoint(5, std::string("a\0b", 3)).ok());
    return TrainingResult();
  });
  EXPECT_EQ(connection_.uploaded["checkpoint 5"], std::string("a\0b", 3));
  Write("stored", "from an earlier attempt");
  assignment_.set_checkpoint_path((folder_ / "stored").string());
  Run([&](TrainingContext& context) -> absl::StatusOr<TrainingResult> {
    EXPECT_EQ(*context.LoadCheckpoint(), "from an earlier attempt");
    return TrainingResult();
  });
}

TEST_F(TrainingRunTest, LinesAreValidAndBounded) {
  Run([&](TrainingContext& context) -> absl::StatusOr<TrainingResult> {
    context.Log(v1::LogLine::SEVERITY_WARNING, "bad \xFF byte");
    std::string text(16 * 1024 - 1, 'x');
    context.Log(v1::LogLine::SEVERITY_INFO, text + "\xC3\xA9");
    return TrainingResult();
  });
  const auto message = events_.Take();
  ASSERT_TRUE(message.has_value());
  ASSERT_EQ(message->events().events_size(), 2);
  EXPECT_EQ(message->events().events(0).log().text(), "bad \xEF\xBF\xBD byte");
  EXPECT_EQ(message->events().events(0).log().severity(), v1::LogLine::SEVERITY_WARNING);
  EXPECT_EQ(message->events().events(1).log().text(), std::string(16 * 1024 - 1, 'x'));
}

}  // namespace
}  // namespace trainyard
