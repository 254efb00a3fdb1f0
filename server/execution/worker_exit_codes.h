// How a worker process ends when no signal ends it.
#pragma once

namespace trainyard {

enum WorkerExitCode : int {
  kWorkerDone = 0,           // the server has stored the end of the attempt
  kWorkerUsage = 2,          // wrong arguments
  kWorkerNoGroup = 10,       // its control group could not be entered
  kWorkerRefused = 11,       // the server does not know the attempt, or it has ended there
  kWorkerServerGone = 12,    // the server could not be reached for too long
  kWorkerOutOfMemory = 13,   // reading a table needed more memory than allowed
  kWorkerInternalError = 14  // none of these
};

}  // namespace trainyard
