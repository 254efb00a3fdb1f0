#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "proto/schema/violations.h"
#include "server/storage/job_filter.h"
#include "server/storage/job_rows.h"

namespace trainyard {
namespace {

struct Order {
  std::string column = "create_time";
  bool descending = true;
};

Order ParseOrder(std::string_view text, Violations& violations) {
  const std::vector<std::string> words =
      absl::StrSplit(AbslView(text), absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (words.empty()) return Order{};
  const bool known =
      words[0] == "create_time" || words[0] == "update_time" || words[0] == "priority";
  if (!known || words.size() > 2 || (words.size() == 2 && words[1] != "desc")) {
    violations.Add("order_by",
                   absl::StrCat("is '", absl::CHexEscape(AbslView(text.substr(0, 60))),
                                "'; must be create_time, update_time or priority, optionally "
                                "followed by ' desc'"));
  }
  return Order{words[0], words.size() == 2};
}

struct Plan {
  std::string sql;
  std::string key;  // what page tokens are bound to
  JobFilter filter;
  std::optional<PagePosition> after;
  int32_t page_size = 0;
};

std::string SelectSql(const JobFilter& filter, const Order& order, bool has_position) {
  const std::string_view direction = order.descending ? " DESC" : "";
  const std::string from = has_position ? absl::StrCat(" AND (jobs.", order.column, ", jobs.job) ",
                                                       order.descending ? "<" : ">", " (?, ?)")
                                        : "";
  return absl::StrCat(SelectJobs(absl::StrCat("jobs.", order.column)), "WHERE project = ? AND ",
                      filter.condition, from, " ORDER BY jobs.", order.column, AbslView(direction),
                      ", jobs.job", AbslView(direction), " LIMIT ?");
}

absl::StatusOr<Plan> MakePlan(const PageTokens& tokens, const JobQuery& query) {
  Plan plan;
  Violations violations;
  CheckPageSize(query.page_size, 50, 1000, plan.page_size, violations);
  absl::StatusOr<JobFilter> filter = ParseJobFilter(query.filter);
  AddViolations(filter.status(), violations);
  const Order order = ParseOrder(query.order_by, violations);
  plan.key = PageQuery({"jobs", query.project, query.filter, query.order_by});
  if (!query.page_token.empty()) {
    absl::StatusOr<PagePosition> position = tokens.Read(plan.key, query.page_token);
    AddViolations(position.status(), violations);
    if (position.ok()) plan.after = *std::move(position);
  }
  if (!violations.empty()) return violations.ToStatus();
  plan.filter = *std::move(filter);
  plan.sql = SelectSql(plan.filter, order, plan.after.has_value());
  return plan;
}

void BindPlan(const Plan& plan, const JobQuery& query, Statement& statement) {
  statement.Bind(std::string_view(query.project));
  for (const auto& value : plan.filter.values) {
    if (const auto* number = std::get_if<int64_t>(&value)) {
      statement.Bind(*number);
    } else {
      statement.Bind(std::string_view(std::get<std::string>(value)));
    }
  }
  if (plan.after.has_value()) statement.Bind(plan.after->number).Bind(plan.after->row);
  statement.Bind(int64_t{plan.page_size} + 1);  // one more tells whether there is another page
}

}  // namespace

void CheckPageSize(int32_t given, int32_t standard, int32_t most, int32_t& size,
                   Violations& violations) {
  if (given < 0) {
    violations.Add("page_size", absl::StrCat("is ", given, "; must not be negative"));
  }
  size = given == 0 ? standard : std::min(given, most);
}

void AddViolations(const absl::Status& status, Violations& violations) {
  for (const FieldViolation& violation : ViolationsOf(status)) {
    violations.Add(violation.field, violation.description);
  }
}

absl::StatusOr<JobPage> ListJobRows(Database& database, const PageTokens& tokens,
                                    const JobQuery& query) {
  TY_ASSIGN_OR_RETURN(const Plan plan, MakePlan(tokens, query));
  TY_ASSIGN_OR_RETURN(Statement statement, database.PrepareOnce(plan.sql));
  BindPlan(plan, query, statement);
  JobPage page;
  PagePosition last;
  int64_t page_bytes = 0;
  std::string bytes;
  while (true) {
    TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
    if (!found) return page;
    bytes.clear();
    TY_ASSIGN_OR_RETURN(v1::Job job, JobAt(statement, bytes));
    page_bytes += static_cast<int64_t>(bytes.size());
    const bool full = static_cast<int32_t>(page.jobs.size()) >= plan.page_size ||
                      (!page.jobs.empty() && page_bytes > kMaxPageBytes);
    if (full) {
      page.next_page_token = tokens.Make(plan.key, last);
      return page;
    }
    page.jobs.push_back(std::move(job));
    last = {statement.Int(5), statement.Int(0), ""};
  }
}

}  // namespace trainyard
