// Faults that only whoever runs a training can produce.
#pragma once

namespace trainyard {

// A TrainingContext may also be one of these; the diagnostic algorithm asks for it by dynamic_cast.
class FaultHooks {
 public:
  virtual ~FaultHooks() = default;

  // Sends the server bytes that are no protocol message. Returns when they are on their way.
  virtual void WriteGarbage() = 0;
};

}  // namespace trainyard
