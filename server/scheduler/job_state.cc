#include "server/scheduler/job_state.h"

#include "absl/strings/str_cat.h"

namespace trainyard {
namespace {

using v1::Job;

struct Edge {
  Job::State from;
  Job::State to;
};

constexpr Edge kLegalEdges[] = {
    {Job::STATE_UNSPECIFIED, Job::STATE_QUEUED},

    {Job::STATE_QUEUED, Job::STATE_STARTING},      {Job::STATE_QUEUED, Job::STATE_CANCELLED},
    {Job::STATE_QUEUED, Job::STATE_FAILED},

    {Job::STATE_STARTING, Job::STATE_RUNNING},     {Job::STATE_STARTING, Job::STATE_QUEUED},
    {Job::STATE_STARTING, Job::STATE_CANCELLING},  {Job::STATE_STARTING, Job::STATE_FAILED},

    {Job::STATE_RUNNING, Job::STATE_SUCCEEDED},    {Job::STATE_RUNNING, Job::STATE_FAILED},
    {Job::STATE_RUNNING, Job::STATE_QUEUED},       {Job::STATE_RUNNING, Job::STATE_CANCELLING},

    {Job::STATE_CANCELLING, Job::STATE_CANCELLED}, {Job::STATE_CANCELLING, Job::STATE_SUCCEEDED},
    {Job::STATE_CANCELLING, Job::STATE_FAILED},
};

}  // namespace

bool IsLegalTransition(Job::State from, Job::State to) {
  for (const Edge& edge : kLegalEdges) {
    if (edge.from == from && edge.to == to) return true;
  }
  return false;
}

bool IsEndState(Job::State state) {
  return state == Job::STATE_SUCCEEDED || state == Job::STATE_FAILED ||
         state == Job::STATE_CANCELLED;
}

bool IsActiveState(Job::State state) {
  return state == Job::STATE_STARTING || state == Job::STATE_RUNNING ||
         state == Job::STATE_CANCELLING;
}

absl::Status Transition(Job& job, Job::State to) {
  if (!IsLegalTransition(job.state(), to)) {
    return absl::FailedPreconditionError(absl::StrCat("job ", job.name(), " is in ",
                                                      Job::State_Name(job.state()),
                                                      " and cannot go to ", Job::State_Name(to)));
  }
  job.set_state(to);
  return absl::OkStatus();
}

}  // namespace trainyard
