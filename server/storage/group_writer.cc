#include "server/storage/group_writer.h"

#include <algorithm>
#include <utility>

#include "core/base/status.h"

namespace trainyard {

GroupWriter::GroupWriter(std::unique_ptr<Database> database,
                         std::unique_ptr<CatalogueTransaction> transaction, int max_group_size,
                         std::function<absl::StatusOr<bool>(Database&)> upkeep)
    : database_(std::move(database)),
      transaction_(std::move(transaction)),
      max_group_size_(static_cast<size_t>(std::max(max_group_size, 1))),
      upkeep_(std::move(upkeep)),
      thread_([this] { Run(); }) {}

GroupWriter::~GroupWriter() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void GroupWriter::Write(Catalogue::Work work, Catalogue::Done done) {
  MutexLock lock(&mutex_);
  waiting_.push_back({std::move(work), std::move(done), absl::OkStatus()});
}

void GroupWriter::Run() {
  std::vector<Unit> group;
  while (TakeGroup(group)) {
    CommitGroup(group);
    for (Unit& unit : group) {
      unit.done(std::move(unit.result));
      unit = Unit();  // whatever the functions own goes before the next unit's `done`
    }
    RunUpkeep();
  }
}

bool GroupWriter::TakeGroup(std::vector<Unit>& group) {
  group.clear();
  MutexLock lock(&mutex_);
  const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return !waiting_.empty() || stopping_ || upkeep_left_;
  };
  mutex_.Await(ready);
  if (waiting_.empty()) return !stopping_;
  const size_t count = std::min(waiting_.size(), max_group_size_);
  const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(count);
  group.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
  waiting_.erase(waiting_.begin(), end);
  return true;
}

void GroupWriter::CommitGroup(std::vector<Unit>& group) {
  auto first = group.begin();  // first unit of the open transaction
  const auto fail_open = [&](auto end, const absl::Status& status) {
    for (; first != end; ++first) {
      if (first->result.ok()) first->result = status;
    }
  };
  for (auto unit = group.begin(); unit != group.end(); ++unit) {
    if (!database_->in_transaction()) {
      unit->result = database_->Run("BEGIN IMMEDIATE");
      if (!unit->result.ok()) continue;
      first = unit;
    }
    unit->result = RunUnit(*unit);
    // After some errors (a full disk above all) SQLite has given up the whole transaction.
    if (!database_->in_transaction()) fail_open(std::next(unit), unit->result);
  }
  if (!database_->in_transaction()) return;
  const absl::Status committed = database_->Run("COMMIT");
  if (committed.ok()) return;
  if (database_->in_transaction()) database_->Execute("ROLLBACK").IgnoreError();
  fail_open(group.end(), committed);
}

absl::Status GroupWriter::RunUnit(Unit& unit) {
  TY_RETURN_IF_ERROR(database_->Run("SAVEPOINT unit"));
  absl::Status status = unit.work(*transaction_);
  if (!database_->in_transaction()) {
    return status.ok() ? database_->Error("a unit of work went on after an error") : status;
  }
  if (status.ok()) return database_->Run("RELEASE unit");
  absl::Status undone = database_->Run("ROLLBACK TO unit");
  if (undone.ok()) undone = database_->Run("RELEASE unit");
  // A unit that cannot be undone must not be committed with the others.
  if (!undone.ok() && database_->in_transaction()) database_->Execute("ROLLBACK").IgnoreError();
  return status;
}

void GroupWriter::RunUpkeep() {
  upkeep_left_ = false;
  if (upkeep_ == nullptr || !database_->Run("BEGIN").ok()) return;
  const absl::StatusOr<bool> left = upkeep_(*database_);
  if (left.ok() && database_->Run("COMMIT").ok()) {
    upkeep_left_ = *left;
  } else if (database_->in_transaction()) {
    database_->Execute("ROLLBACK").IgnoreError();
  }
}

}  // namespace trainyard
