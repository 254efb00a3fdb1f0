// One training, from the assignment to what the server is told of its end.
#pragma once

#include <filesystem>

#include "core/algorithms/algorithm.h"
#include "core/base/clock.h"
#include "server/worker/artifact_uploader.h"
#include "trainyard/v1/worker_service.pb.h"

namespace trainyard {

// Opens the tables, trains with `algorithm` (null: this build has none of that name), uploads the
// model folder and says how it ended. Never throws: exceptions of the training become an end cause.
v1::Finished RunTraining(const v1::Assignment& assignment, const Algorithm* algorithm,
                         TrainingContext& context, const ArtifactUploader& uploader, Clock& clock);

// The end cause that a training's error stands for.
v1::Attempt::EndCause EndCauseOf(const absl::Status& status);

}  // namespace trainyard
