#include "proto/schema/resource_names.h"

#include <charconv>
#include <limits>
#include <system_error>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace trainyard {
namespace {

constexpr size_t kMaxIdBytes = 63;
constexpr size_t kMaxQuotedBytes = 120;

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

std::string Quote(std::string_view text) {
  const bool cut = text.size() > kMaxQuotedBytes;
  return absl::StrCat("'", absl::CHexEscape(View(text.substr(0, kMaxQuotedBytes))), cut ? "…" : "",
                      "'");
}

bool IsResourceId(std::string_view id) {
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (id.empty() || id.size() > kMaxIdBytes || !is_letter(id.front()) || id.back() == '-')
    return false;
  for (const char c : id) {
    if (!is_letter(c) && !is_digit(c) && c != '-') return false;
  }
  return true;
}

// A whole number from 1 without sign or leading zeros; 0 if it is none.
int64_t ParseNumber(std::string_view text) {
  int64_t number = 0;
  if (text.empty() || text.front() < '1' || text.front() > '9') return 0;
  const char* const end = text.data() + text.size();
  const auto [read_to, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && read_to == end ? number : 0;
}

// The parts of `name` between the slashes when it has the collections of `form` in the right
// places. In `form`, `{x}` stands for a resource id and `{#x}` for a number.
absl::StatusOr<std::vector<std::string>> Match(std::string_view name, std::string_view form) {
  const std::vector<std::string> parts = absl::StrSplit(View(name), '/');
  const std::vector<std::string> wanted = absl::StrSplit(View(form), '/');
  bool matches = parts.size() == wanted.size();
  std::vector<std::string> values;
  for (size_t i = 0; matches && i < parts.size(); ++i) {
    if (wanted[i][0] != '{') {
      matches = parts[i] == wanted[i];
      continue;
    }
    matches = wanted[i][1] == '#' ? ParseNumber(parts[i]) > 0 : IsResourceId(parts[i]);
    values.push_back(parts[i]);
  }
  if (matches) return values;
  return absl::InvalidArgumentError(absl::StrCat(
      "name ", Quote(name), " is not of the form ", View(form),
      ", where an id is a letter a-z, then at most 62 of a-z, 0-9 and -, not ending in -"));
}

}  // namespace

absl::Status CheckResourceId(std::string_view id) {
  if (IsResourceId(id)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("id ", Quote(id),
                   " must be a letter a-z, then at most 62 of a-z, 0-9 and -, not ending in -"));
}

absl::StatusOr<ProjectName> ProjectName::Parse(std::string_view name) {
  const auto parts = Match(name, "projects/{project}");
  if (!parts.ok()) return parts.status();
  return ProjectName{(*parts)[0]};
}

std::string ProjectName::ToString() const { return absl::StrCat("projects/", project); }

absl::StatusOr<JobName> JobName::Parse(std::string_view name) {
  const auto parts = Match(name, "projects/{project}/jobs/{job}");
  if (!parts.ok()) return parts.status();
  return JobName{(*parts)[0], (*parts)[1]};
}

std::string JobName::ToString() const { return absl::StrCat("projects/", project, "/jobs/", job); }

absl::StatusOr<AttemptName> AttemptName::Parse(std::string_view name) {
  const auto parts = Match(name, "projects/{project}/jobs/{job}/attempts/{#attempt}");
  if (!parts.ok()) return parts.status();
  const int64_t number = ParseNumber((*parts)[2]);
  if (number > std::numeric_limits<int32_t>::max()) {
    return absl::InvalidArgumentError(absl::StrCat("attempt number ", number, " is too large"));
  }
  return AttemptName{{(*parts)[0], (*parts)[1]}, static_cast<int32_t>(number)};
}

std::string AttemptName::ToString() const {
  return absl::StrCat(job.ToString(), "/attempts/", attempt);
}

absl::StatusOr<DatasetName> DatasetName::Parse(std::string_view name) {
  const auto versioned = Match(name, "projects/{project}/datasets/{dataset}/versions/{#version}");
  if (versioned.ok()) {
    return DatasetName{(*versioned)[0], (*versioned)[1], ParseNumber((*versioned)[2])};
  }
  const auto plain = Match(name, "projects/{project}/datasets/{dataset}");
  if (!plain.ok()) return plain.status();
  return DatasetName{(*plain)[0], (*plain)[1], 0};
}

std::string DatasetName::ToString() const {
  const std::string plain = absl::StrCat("projects/", project, "/datasets/", dataset);
  return version == 0 ? plain : absl::StrCat(plain, "/versions/", version);
}

absl::StatusOr<ModelName> ModelName::Parse(std::string_view name) {
  const auto parts = Match(name, "projects/{project}/models/{model}");
  if (!parts.ok()) return parts.status();
  return ModelName{(*parts)[0], (*parts)[1]};
}

std::string ModelName::ToString() const {
  return absl::StrCat("projects/", project, "/models/", model);
}

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !absl::ascii_isxdigit(static_cast<unsigned char>(text[i]))) {
      return false;
    }
  }
  return true;
}

}  // namespace trainyard
