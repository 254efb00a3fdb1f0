// What was acknowledged survives a kill at any moment.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <random>

#include "gtest/gtest.h"
#include "server/storage/check.h"
#include "server/storage/testing/temp_store.h"
#include "tests/server/storage/storage_test_util.h"

namespace trainyard {
namespace {

constexpr int kRounds = 20;

std::string IdOf(int round, int number) { return absl::StrCat("r", round, "-", number); }

// Creates job after job, each with two events and every eighth with a model whose file is a new
// blob, and writes the number of each to `acknowledged` when it is durable. Never returns.
[[noreturn]] void WriteUntilKilled(const std::filesystem::path& folder, int round,
                                   int acknowledged) {
  auto catalogue = Catalogue::Open({.file = folder / "catalogue.db"});
  auto blobs = BlobStore::Open(folder, FileSystem::Real());
  if (!catalogue.ok() || !blobs.ok()) _exit(1);
  for (int number = 0;; ++number) {
    const std::string id = IdOf(round, number);
    std::unique_ptr<BlobWriter> writer;
    v1::Model model;
    if (number % 8 == 0) {
      writer = (*blobs)->Create(0).value();
      if (!writer->Append(id).ok()) _exit(1);
      const BlobInfo blob = writer->Commit().value();
      model.set_name(ModelName{"p", id}.ToString());
      model.add_files()->set_sha256(blob.sha256);
      model.mutable_files(0)->set_size_bytes(blob.size_bytes);
    }
    (*catalogue)
        ->Write(
            [id, model](CatalogueTransaction& transaction) -> absl::Status {
              absl::Status status = transaction.InsertJob(MakeJob(id));
              const v1::JobEvent events[] = {MakeLog(1), MakeMetric(2, "loss", 1, 0.5)};
              if (status.ok()) status = transaction.AppendEvents(Name(id), events);
              if (status.ok() && !model.name().empty()) status = transaction.InsertModel(model);
              return status;
            },
            // The blob is held until the catalogue refers to it.
            [number, acknowledged,
             held = std::shared_ptr<BlobWriter>(std::move(writer))](const absl::Status& status) {
              if (!status.ok() || write(acknowledged, &number, sizeof(number)) != sizeof(number)) {
                _exit(1);
              }
            });
  }
}

// Kills a writing child after it has acknowledged about `count` jobs. Answers all acknowledged.
std::vector<int> RunAndKill(const std::filesystem::path& folder, int round, size_t count,
                            useconds_t further) {
  int pipe_ends[2];
  EXPECT_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(pipe_ends[0]);
    WriteUntilKilled(folder, round, pipe_ends[1]);
  }
  close(pipe_ends[1]);
  std::vector<int> numbers;
  int number = 0;
  while (numbers.size() < count && read(pipe_ends[0], &number, sizeof(number)) > 0) {
    numbers.push_back(number);
  }
  usleep(further);  // less than a commit takes, so that the kill falls anywhere within one
  kill(child, SIGKILL);
  while (read(pipe_ends[0], &number, sizeof(number)) > 0) numbers.push_back(number);
  close(pipe_ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << status;
  return numbers;
}

TEST(CrashTest, WhatWasAcknowledgedSurvivesKills) {
  const TempFolder folder;
  std::mt19937 random(20'261'123);
  size_t total = 0;
  for (int round = 0; round < kRounds; ++round) {
    const std::vector<int> acknowledged =
        RunAndKill(folder.path(), round, random() % 150, random() % 500);
    total += acknowledged.size();
    auto catalogue = Catalogue::Open({.file = folder.path() / "catalogue.db"});
    ASSERT_THAT(catalogue.status(), IsOk());
    auto blobs = BlobStore::Open(folder.path(), FileSystem::Real());
    ASSERT_THAT(blobs.status(), IsOk());
    EXPECT_TRUE(std::filesystem::is_empty(folder.path() / "tmp"));
    for (const int number : acknowledged) {
      const JobName name = Name(IdOf(round, number));
      ASSERT_THAT((*catalogue)->GetJob(name).status(), IsOk()) << "round " << round;
      ASSERT_EQ((*catalogue)->ReadEvents(name, 1, 10, 10'000)->size(), 2u);
      if (number % 8 == 0) {
        ASSERT_THAT((*catalogue)->GetModel({"p", name.job}).status(), IsOk());
      }
    }
    // A unit is there whole or not at all, whether it was acknowledged or not.
    ASSERT_THAT(
        (*catalogue)
            ->ForEachUnfinishedJob([&](const v1::Job& job, const std::vector<AttemptRecord>&) {
              EXPECT_EQ(job.newest_sequence(), 2) << job.name();
            }),
        IsOk());
    const auto check = CheckStore(**catalogue, **blobs);
    ASSERT_THAT(check.status(), IsOk());
    EXPECT_THAT(check->problems, testing::IsEmpty()) << "round " << round;
  }
  EXPECT_GT(total, 500u);
}

}  // namespace
}  // namespace trainyard
