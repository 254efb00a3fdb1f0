// The one thread that writes the catalogue.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "core/base/mutex.h"
#include "server/storage/catalogue.h"
#include "server/storage/sqlite.h"

namespace trainyard {

// Runs units of work in the order in which they come. Units that wait while others are committed
// form the next group: each runs in a savepoint of its own, then one commit makes them durable.
// Write is thread-safe. The destructor runs what waits and ends the thread.
class GroupWriter {
 public:
  // `upkeep`, if any, runs in a transaction of its own after every group, and again and again while
  // it answers true, taking turns with the groups.
  GroupWriter(std::unique_ptr<Database> database, std::unique_ptr<CatalogueTransaction> transaction,
              int max_group_size, std::function<absl::StatusOr<bool>(Database&)> upkeep);
  ~GroupWriter();

  void Write(Catalogue::Work work, Catalogue::Done done);

 private:
  struct Unit {
    Catalogue::Work work;
    Catalogue::Done done;
    absl::Status result;
  };

  void Run();
  // Waits for units or for upkeep to do. False at the end.
  bool TakeGroup(std::vector<Unit>& group);
  void CommitGroup(std::vector<Unit>& group);
  absl::Status RunUnit(Unit& unit);
  void RunUpkeep();

  const std::unique_ptr<Database> database_;
  const std::unique_ptr<CatalogueTransaction> transaction_;
  const size_t max_group_size_;
  const std::function<absl::StatusOr<bool>(Database&)> upkeep_;
  bool upkeep_left_ = true;  // of the writer thread

  Mutex mutex_;
  std::deque<Unit> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace trainyard
