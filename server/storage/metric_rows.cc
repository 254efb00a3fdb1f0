#include <limits>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/numeric/int128.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "google/protobuf/util/time_util.h"
#include "proto/schema/violations.h"
#include "server/storage/event_rows.h"
#include "server/storage/job_rows.h"

namespace trainyard {
namespace {

using ::google::protobuf::util::TimeUtil;

constexpr int64_t kFirstStep = std::numeric_limits<int64_t>::min();
constexpr int64_t kLastStep = std::numeric_limits<int64_t>::max();

struct Series {
  int64_t id = 0;
  std::string name;
};

absl::StatusOr<int64_t> FindOrAddSeries(Database& database, int64_t job_row,
                                        std::string_view name) {
  TY_ASSIGN_OR_RETURN(
      Statement find,
      database.Prepare("SELECT series FROM metric_series WHERE job = ? AND name = ?"));
  TY_ASSIGN_OR_RETURN(const bool found, find.Bind(job_row).Bind(name).Step());
  if (found) return find.Int(0);
  TY_ASSIGN_OR_RETURN(Statement add,
                      database.Prepare("INSERT INTO metric_series (job, name) VALUES (?, ?)"));
  TY_RETURN_IF_ERROR(add.Bind(job_row).Bind(name).Run());
  return database.last_insert_row();
}

absl::StatusOr<std::vector<Series>> SeriesOf(Database& database, int64_t job_row,
                                             const std::vector<std::string>& wanted) {
  const std::set<std::string, std::less<>> names(wanted.begin(), wanted.end());
  TY_ASSIGN_OR_RETURN(
      Statement statement,
      database.Prepare("SELECT series, name FROM metric_series WHERE job = ? ORDER BY name"));
  statement.Bind(job_row);
  std::vector<Series> series;
  while (true) {
    TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
    if (!found) return series;
    if (!names.empty() && !names.contains(statement.Text(1))) continue;
    series.push_back({statement.Int(0), std::string(statement.Text(1))});
  }
}

// The steps at which a series of more than `count` points is thinned: `count` marks, evenly from
// the first step to the last; the point at or after each mark stays.
class Marks {
 public:
  Marks(int64_t first, int64_t last, int64_t count) : first_(first), last_(last), count_(count) {}

  // The least mark that is `from` or later.
  int64_t AtOrAfter(int64_t from) const {
    if (count_ == 1 || from >= last_) return std::max(from, last_);
    if (from <= first_) return first_;
    const absl::uint128 span = Distance(first_, last_);
    const absl::uint128 gaps = static_cast<uint64_t>(count_ - 1);
    const absl::uint128 index = (gaps * Distance(first_, from) + span - 1) / span;
    return static_cast<int64_t>(static_cast<uint64_t>(first_) +
                                absl::Uint128Low64(span * index / gaps));
  }

 private:
  static uint64_t Distance(int64_t from, int64_t to) {
    return static_cast<uint64_t>(to) - static_cast<uint64_t>(from);
  }

  int64_t first_;
  int64_t last_;
  int64_t count_;
};

// The marks of a series, or nullopt when it has at most `max_points` points.
absl::StatusOr<std::optional<Marks>> MarksOf(Database& database, int64_t series,
                                             int32_t max_points) {
  if (max_points <= 0) return std::nullopt;
  TY_ASSIGN_OR_RETURN(
      Statement more,
      database.Prepare("SELECT 1 FROM metric_points WHERE series = ? LIMIT 1 OFFSET ?"));
  TY_ASSIGN_OR_RETURN(const bool thin, more.Bind(series).Bind(int64_t{max_points}).Step());
  if (!thin) return std::nullopt;
  TY_ASSIGN_OR_RETURN(
      Statement ends,
      database.Prepare("SELECT (SELECT min(step) FROM metric_points WHERE series = ?1), "
                       "(SELECT max(step) FROM metric_points WHERE series = ?1)"));
  TY_RETURN_IF_ERROR(ends.Bind(series).Step().status());
  return Marks(ends.Int(0), ends.Int(1), max_points);
}

// Appends points of one series from step `from` on. False when the page is full.
class PageFiller {
 public:
  PageFiller(Database& database, int32_t page_size) : database_(database), room_(page_size) {}

  absl::StatusOr<bool> Fill(const Series& series, int64_t from, int32_t max_points) {
    TY_ASSIGN_OR_RETURN(const std::optional<Marks> marks,
                        MarksOf(database_, series.id, max_points));
    TY_ASSIGN_OR_RETURN(
        Statement statement,
        database_.Prepare("SELECT step, value, time FROM metric_points WHERE series = ? AND step "
                          ">= ? ORDER BY step"));
    if (marks.has_value()) from = marks->AtOrAfter(from);
    statement.Bind(series.id).Bind(from);
    while (true) {
      TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
      if (!found) return true;
      if (!HasRoom(series)) return false;
      const int64_t step = statement.Int(0);
      v1::MetricPoint& point = *page_.points.insert(page_.points.end(), v1::MetricPoint());
      point.set_name(series.name);
      point.set_step(step);
      point.set_value(statement.Double(1));
      *point.mutable_time() = TimeUtil::NanosecondsToTimestamp(statement.Int(2));
      if (!marks.has_value()) continue;
      if (step == kLastStep) return true;
      statement.Reset();
      statement.Bind(series.id).Bind(marks->AtOrAfter(step + 1));
    }
  }

  MetricPage& page() { return page_; }

 private:
  bool HasRoom(const Series& series) {
    constexpr int64_t kPointBytes = 48;  // of a serialised point without its name, at most
    bytes_ += static_cast<int64_t>(series.name.size()) + kPointBytes;
    return page_.points.empty() ||
           (room_ > static_cast<int64_t>(page_.points.size()) && bytes_ <= kMaxPageBytes);
  }

  Database& database_;
  int64_t room_;
  int64_t bytes_ = 0;
  MetricPage page_;
};

}  // namespace

absl::Status WriteMetricPoints(Database& database, int64_t job_row,
                               std::span<const v1::JobEvent> events) {
  absl::flat_hash_map<std::string, int64_t> series;
  std::optional<Statement> insert;
  for (const v1::JobEvent& event : events) {
    for (const v1::MetricPoint& point : event.metrics().points()) {
      auto known = series.find(point.name());
      if (known == series.end()) {
        TY_ASSIGN_OR_RETURN(const int64_t id, FindOrAddSeries(database, job_row, point.name()));
        known = series.emplace(point.name(), id).first;
      }
      if (!insert.has_value()) {
        TY_ASSIGN_OR_RETURN(
            Statement prepared,
            database.Prepare("INSERT OR REPLACE INTO metric_points VALUES (?, ?, ?, ?)"));
        insert.emplace(std::move(prepared));
      }
      const auto& time = point.has_time() ? point.time() : event.time();
      TY_RETURN_IF_ERROR(insert->Bind(known->second)
                             .Bind(point.step())
                             .Bind(point.value())
                             .Bind(TimeUtil::TimestampToNanoseconds(time))
                             .Run());
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<MetricPage> ListMetricRows(Database& database, const PageTokens& tokens,
                                          const MetricQuery& query) {
  Violations violations;
  int32_t page_size = 0;
  CheckPageSize(query.page_size, 10'000, 100'000, page_size, violations);
  if (query.max_points < 0) {
    violations.Add("max_points", absl::StrCat("is ", query.max_points, "; must not be negative"));
  }
  std::string metrics;
  for (const std::string& metric : query.metrics) metrics += PageQuery({metric});
  const std::string key =
      PageQuery({"metrics", query.job.ToString(), metrics, absl::StrCat(query.max_points)});
  std::optional<PagePosition> after;
  if (!query.page_token.empty()) {
    absl::StatusOr<PagePosition> position = tokens.Read(key, query.page_token);
    AddViolations(position.status(), violations);
    if (position.ok()) after = *std::move(position);
  }
  if (!violations.empty()) return violations.ToStatus();

  TY_ASSIGN_OR_RETURN(const int64_t job_row, FindJobRow(database, query.job));
  TY_ASSIGN_OR_RETURN(const std::vector<Series> all, SeriesOf(database, job_row, query.metrics));
  PageFiller filler(database, page_size);
  for (const Series& series : all) {
    int64_t from = kFirstStep;
    if (after.has_value()) {
      if (series.name < after->text) continue;
      if (series.name == after->text) {
        if (after->number == kLastStep) continue;
        from = after->number + 1;
      }
    }
    TY_ASSIGN_OR_RETURN(const bool room, filler.Fill(series, from, query.max_points));
    if (room) continue;
    const v1::MetricPoint& last = filler.page().points.back();
    filler.page().next_page_token = tokens.Make(key, {last.step(), 0, last.name()});
    break;
  }
  return std::move(filler.page());
}

}  // namespace trainyard
