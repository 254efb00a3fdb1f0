#include "server/scheduler/job_state.h"

#include <set>
#include <utility>

#include "gtest/gtest.h"

namespace trainyard {
namespace {

using v1::Job;

// The comment of v1::Job.State, written down once more.
const std::set<std::pair<Job::State, Job::State>> kLegal = {
    {Job::STATE_UNSPECIFIED, Job::STATE_QUEUED},   {Job::STATE_QUEUED, Job::STATE_STARTING},
    {Job::STATE_QUEUED, Job::STATE_CANCELLED},     {Job::STATE_QUEUED, Job::STATE_FAILED},
    {Job::STATE_STARTING, Job::STATE_RUNNING},     {Job::STATE_STARTING, Job::STATE_QUEUED},
    {Job::STATE_STARTING, Job::STATE_CANCELLING},  {Job::STATE_STARTING, Job::STATE_FAILED},
    {Job::STATE_RUNNING, Job::STATE_SUCCEEDED},    {Job::STATE_RUNNING, Job::STATE_FAILED},
    {Job::STATE_RUNNING, Job::STATE_QUEUED},       {Job::STATE_RUNNING, Job::STATE_CANCELLING},
    {Job::STATE_CANCELLING, Job::STATE_CANCELLED}, {Job::STATE_CANCELLING, Job::STATE_SUCCEEDED},
    {Job::STATE_CANCELLING, Job::STATE_FAILED}};

TEST(JobStateTest, EveryPairOfStates) {
  for (int from = 0; from < Job::State_ARRAYSIZE; ++from) {
    for (int to = 0; to < Job::State_ARRAYSIZE; ++to) {
      const auto from_state = static_cast<Job::State>(from);
      const auto to_state = static_cast<Job::State>(to);
      const bool legal = kLegal.contains({from_state, to_state});
      EXPECT_EQ(IsLegalTransition(from_state, to_state), legal)
          << Job::State_Name(from_state) << " to " << Job::State_Name(to_state);
      Job job;
      job.set_state(from_state);
      const absl::Status status = Transition(job, to_state);
      EXPECT_EQ(status.ok(), legal);
      EXPECT_EQ(job.state(), legal ? to_state : from_state);
      if (!legal) {
        EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
      }
    }
  }
}

TEST(JobStateTest, NothingLeavesAnEndState) {
  for (int from = 0; from < Job::State_ARRAYSIZE; ++from) {
    const auto state = static_cast<Job::State>(from);
    int ways_out = 0;
    for (int to = 0; to < Job::State_ARRAYSIZE; ++to) {
      ways_out += IsLegalTransition(state, static_cast<Job::State>(to)) ? 1 : 0;
    }
    EXPECT_EQ(ways_out == 0, IsEndState(state)) << Job::State_Name(state);
    EXPECT_FALSE(IsEndState(state) && IsActiveState(state));
  }
}

}  // namespace
}  // namespace trainyard
