// Feeds arbitrary text to what the server parses within the texts of a request: filters of jobs,
// page tokens and names of resources. The first byte chooses; the rest is the text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "proto/schema/resource_names.h"
#include "server/storage/job_filter.h"
#include "server/storage/page_token.h"
#include "server/storage/schema.h"
#include "server/storage/sqlite.h"

namespace trainyard {
namespace {

void Check(bool condition) {
  if (!condition) std::abort();
}

Database& EmptyCatalogue() {
  static const std::unique_ptr<Database> kDatabase = [] {
    auto database = Database::Open(":memory:", Database::Mode::kReadWriteCreate).value();
    Check(MigrateSchema(*database).ok());
    return database;
  }();
  return *kDatabase;
}

// Every filter that is accepted is a condition that SQLite runs, with a value for each parameter.
void ReadFilter(std::string_view text) {
  const auto filter = ParseJobFilter(text);
  if (!filter.ok()) return Check(filter.status().code() == absl::StatusCode::kInvalidArgument);
  auto statement =
      EmptyCatalogue().PrepareOnce("SELECT jobs.job FROM jobs WHERE " + filter->condition);
  Check(statement.ok());
  for (const auto& value : filter->values) {
    std::visit([&](const auto& v) { statement->Bind(v); }, value);
  }
  Check(statement->Run().ok());
}

// A text is no token unless it was made for the query; one that was is read as what it holds, and
// not for another query.
void ReadToken(std::string_view text) {
  const PageTokens tokens("key of the store");
  Check(!tokens.Read("query", text).ok());
  PagePosition position{.number = static_cast<int64_t>(text.size()), .row = -1};
  position.text = text.substr(0, 1000);
  const std::string token = tokens.Make("query", position);
  const auto read = tokens.Read("query", token);
  Check(read.ok() && *read == position);
  Check(!tokens.Read(text, token).ok() || text == "query");
}

template <class Name>
void ReadName(std::string_view text) {
  const auto name = Name::Parse(text);
  if (!name.ok()) return Check(name.status().code() == absl::StatusCode::kInvalidArgument);
  Check(name->ToString() == text);
}

void Run(uint8_t choice, std::string_view text) {
  switch (choice % 3) {
    case 0:
      return ReadFilter(text);
    case 1:
      return ReadToken(text);
    default:
      ReadName<ProjectName>(text);
      ReadName<JobName>(text);
      ReadName<AttemptName>(text);
      ReadName<DatasetName>(text);
      ReadName<ModelName>(text);
  }
}

}  // namespace
}  // namespace trainyard

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  trainyard::Run(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
