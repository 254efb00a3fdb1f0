// The states of a job and the changes between them that are legal.
#pragma once

#include "absl/status/status.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard {

// Whether a job in `from` may go to `to`, as the comment of v1::Job.State lists it. STATE_QUEUED is
// the only state that a new job (STATE_UNSPECIFIED) may take.
bool IsLegalTransition(v1::Job::State from, v1::Job::State to);

// Whether a job in this state has ended: SUCCEEDED, FAILED and CANCELLED.
bool IsEndState(v1::Job::State state);

// Whether a job in this state holds slots and may have a worker: STARTING, RUNNING and CANCELLING.
bool IsActiveState(v1::Job::State state);

// Sets `job.state`. FAILED_PRECONDITION, and no change, when the change is not legal.
absl::Status Transition(v1::Job& job, v1::Job::State to);

}  // namespace trainyard
