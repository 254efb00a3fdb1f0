#include "server/storage/event_rows.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "google/protobuf/io/coded_stream.h"
#include "server/storage/schema.h"

namespace trainyard {
namespace {

// A reader that begins inside a segment passes over what lies before; this bounds that.
constexpr size_t kMaxSegmentBytes = 16 << 10;
// Tag of `WatchJobResponse.events`: field 1, length-delimited.
constexpr char kEventTag = 0x0A;

int64_t Key(int64_t job_row, int64_t sequence) { return job_row << kSequenceBits | sequence; }

void AppendEvent(const v1::JobEvent& event, std::string& segment) {
  using ::google::protobuf::io::CodedOutputStream;
  const size_t size = event.ByteSizeLong();
  const size_t head = segment.size();
  segment.resize(head + 1 + CodedOutputStream::VarintSize64(size) + size);
  auto* at = reinterpret_cast<uint8_t*>(segment.data()) + head;
  *at++ = kEventTag;
  at = CodedOutputStream::WriteVarint64ToArray(size, at);
  event.SerializeWithCachedSizesToArray(at);
}

absl::Status InsertSegment(Database& database, int64_t key, int64_t count,
                           const std::string& segment) {
  TY_ASSIGN_OR_RETURN(Statement insert,
                      database.Prepare("INSERT INTO event_segments VALUES (?, ?, ?)"));
  return insert.Bind(key).Bind(count).BindBlob(segment).Run();
}

absl::Status Unreadable(int64_t key) {
  return absl::DataLossError(absl::StrCat("catalogue: the events from ", key & kMaxSequence,
                                          " on of job row ", key >> kSequenceBits,
                                          " cannot be read"));
}

// Calls `visit(bytes)` for each event of a segment until it answers false. False when the segment
// is damaged.
template <typename Visit>
bool ForEachEvent(std::string_view segment, const Visit& visit) {
  google::protobuf::io::CodedInputStream input(reinterpret_cast<const uint8_t*>(segment.data()),
                                               static_cast<int>(segment.size()));
  while (input.CurrentPosition() < static_cast<int>(segment.size())) {
    uint32_t size = 0;
    if (input.ReadTag() != static_cast<uint32_t>(kEventTag) || !input.ReadVarint32(&size)) {
      return false;
    }
    const auto begin = static_cast<size_t>(input.CurrentPosition());
    if (size > segment.size() - begin || !input.Skip(static_cast<int>(size))) return false;
    if (!visit(segment.substr(begin, size))) return true;
  }
  return true;
}

// Looks at all segments in the order of their keys.
class EventChecker {
 public:
  explicit EventChecker(Database& database) : database_(database) {}

  absl::Status Check(int64_t key, int64_t count, std::string_view segment) {
    const int64_t row = key >> kSequenceBits;
    if (row != row_) TY_RETURN_IF_ERROR(BeginJob(row));
    if (name_.empty()) return absl::OkStatus();
    const int64_t first = key & kMaxSequence;
    if (first != expected_) {
      problems_.push_back(
          absl::StrCat(name_, ": events ", expected_, " to ", first - 1, " are missing"));
    }
    expected_ = first + count;
    if (!IsSound(segment, first, count)) {
      problems_.push_back(
          absl::StrCat(name_, ": events ", first, " to ", expected_ - 1, " are damaged"));
    }
    return absl::OkStatus();
  }

  std::vector<std::string>& problems() { return problems_; }

 private:
  // The name becomes empty for a deleted job, whose events do not matter any more.
  absl::Status BeginJob(int64_t row) {
    row_ = row;
    expected_ = 1;
    name_.clear();
    TY_ASSIGN_OR_RETURN(Statement purge, database_.Prepare("SELECT 1 FROM purges WHERE job = ?"));
    TY_ASSIGN_OR_RETURN(const bool purged, purge.Bind(row).Step());
    if (purged) return absl::OkStatus();
    TY_ASSIGN_OR_RETURN(Statement job,
                        database_.Prepare("SELECT project, id FROM jobs WHERE job = ?"));
    TY_ASSIGN_OR_RETURN(const bool known, job.Bind(row).Step());
    if (known) {
      name_ = JobName{std::string(job.Text(0)), std::string(job.Text(1))}.ToString();
    } else {
      problems_.push_back(
          absl::StrCat("catalogue: events of a job that does not exist, row ", row));
    }
    return absl::OkStatus();
  }

  static bool IsSound(std::string_view segment, int64_t first, int64_t count) {
    int64_t next = first;
    bool sound = true;
    const bool intact = ForEachEvent(segment, [&](std::string_view bytes) {
      v1::JobEvent event;
      sound = event.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) &&
              event.sequence() == next++;
      return sound;
    });
    return intact && sound && next == first + count;
  }

  Database& database_;
  int64_t row_ = -1;
  int64_t expected_ = 1;  // sequence number that the next segment of the job must begin with
  std::string name_;
  std::vector<std::string> problems_;
};

}  // namespace

std::string NewestSequenceSql(std::string_view job_column) {
  const std::string first = absl::StrCat("(", AbslView(job_column), " << ", kSequenceBits, ")");
  return absl::StrCat("(SELECT (key & ", kMaxSequence,
                      ") + count - 1 FROM event_segments WHERE key ", "BETWEEN ", first, " AND (",
                      first, " | ", kMaxSequence, ") ORDER BY key DESC LIMIT 1)");
}

absl::StatusOr<int64_t> NewestSequence(Database& database, int64_t job_row) {
  static const std::string* const kSql = new std::string("SELECT " + NewestSequenceSql("?1"));
  TY_ASSIGN_OR_RETURN(Statement statement, database.Prepare(*kSql));
  TY_RETURN_IF_ERROR(statement.Bind(job_row).Step().status());
  return statement.Int(0);
}

absl::Status AppendEventRows(Database& database, int64_t job_row,
                             std::span<const v1::JobEvent> events) {
  if (events.empty()) return absl::OkStatus();
  TY_ASSIGN_OR_RETURN(const int64_t newest, NewestSequence(database, job_row));
  if (static_cast<int64_t>(events.size()) > kMaxSequence - newest) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a job has at most ", kMaxSequence, " events"));
  }
  std::string segment;
  int64_t first = newest + 1;
  int64_t next = first;
  for (const v1::JobEvent& event : events) {
    if (event.sequence() != next) {
      return absl::FailedPreconditionError(
          absl::StrCat("event has the sequence number ", event.sequence(), ", expected ", next,
                       ": numbers follow the job's newest event without gaps"));
    }
    ++next;
    AppendEvent(event, segment);
    if (segment.size() >= kMaxSegmentBytes) {
      TY_RETURN_IF_ERROR(InsertSegment(database, Key(job_row, first), next - first, segment));
      segment.clear();
      first = next;
    }
  }
  if (!segment.empty()) {
    TY_RETURN_IF_ERROR(InsertSegment(database, Key(job_row, first), next - first, segment));
  }
  return WriteMetricPoints(database, job_row, events);
}

absl::StatusOr<std::vector<v1::JobEvent>> ReadEventRows(Database& database, int64_t job_row,
                                                        int64_t from_sequence, int max_events,
                                                        int64_t max_bytes) {
  std::vector<v1::JobEvent> events;
  if (from_sequence > kMaxSequence || max_events <= 0) return events;
  const int64_t from = Key(job_row, std::max<int64_t>(from_sequence, 1));
  TY_ASSIGN_OR_RETURN(
      Statement statement,
      database.Prepare("SELECT key, events FROM event_segments WHERE key BETWEEN ifnull((SELECT "
                       "max(key) FROM event_segments WHERE key BETWEEN ? AND ?), ?) AND ? "
                       "ORDER BY key"));
  statement.Bind(Key(job_row, 0)).Bind(from).Bind(from).Bind(Key(job_row, kMaxSequence));
  int64_t bytes = 0;
  bool full = false;
  while (!full) {
    TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
    if (!found) break;
    int64_t key = statement.Int(0);
    bool parsed = true;
    const bool intact = ForEachEvent(statement.Blob(1), [&](std::string_view event) {
      if (key++ < from) return true;
      bytes += static_cast<int64_t>(event.size());
      full =
          static_cast<int>(events.size()) == max_events || (!events.empty() && bytes > max_bytes);
      if (full) return false;
      parsed = events.emplace_back().ParseFromArray(event.data(), static_cast<int>(event.size()));
      return parsed;
    });
    if (!intact || !parsed) return Unreadable(statement.Int(0));
  }
  return events;
}

absl::StatusOr<std::vector<std::string>> FindEventProblems(Database& database) {
  EventChecker checker(database);
  TY_ASSIGN_OR_RETURN(
      Statement statement,
      database.PrepareOnce("SELECT key, count, events FROM event_segments ORDER BY key"));
  while (true) {
    TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
    if (!found) return checker.problems();
    TY_RETURN_IF_ERROR(checker.Check(statement.Int(0), statement.Int(1), statement.Blob(2)));
  }
}

}  // namespace trainyard
