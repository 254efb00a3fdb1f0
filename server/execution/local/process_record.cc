#include "server/execution/local/process_record.h"

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "proto/schema/resource_names.h"
#include "server/execution/local/process_info.h"

namespace trainyard {
namespace {

// Values hold no separators: CEscape leaves `;` alone, so it is escaped as well.
std::string Escape(const std::string& value) {
  std::string escaped;
  for (const char c : absl::CEscape(value)) {
    if (c == ';') {
      escaped += "\\073";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace

std::string LocalProcessRecord::ToString() const {
  return absl::StrCat("boot=", Escape(boot_id), ";pid=", pid, ";start=", start_time,
                      ";memory_limit=", memory_limit_bytes,
                      ";unified=", Escape(group.unified().string()),
                      ";memory_v1=", Escape(group.memory_v1().string()));
}

absl::StatusOr<LocalProcessRecord> LocalProcessRecord::Parse(std::string_view text) {
  LocalProcessRecord record;
  std::string unified;
  std::string memory_v1;
  for (const absl::string_view pair :
       absl::StrSplit(absl::string_view(text.data(), text.size()), ';')) {
    const std::pair<std::string, std::string> field = absl::StrSplit(pair, absl::MaxSplits('=', 1));
    std::string value;
    bool good = absl::CUnescape(field.second, &value);
    if (field.first == "boot") {
      record.boot_id = value;
    } else if (field.first == "pid") {
      good = good && absl::SimpleAtoi(value, &record.pid);
    } else if (field.first == "start") {
      good = good && absl::SimpleAtoi(value, &record.start_time);
    } else if (field.first == "memory_limit") {
      good = good && absl::SimpleAtoi(value, &record.memory_limit_bytes);
    } else if (field.first == "unified") {
      unified = value;
    } else if (field.first == "memory_v1") {
      memory_v1 = value;
    } else {
      good = false;
    }
    if (!good) {
      return absl::InvalidArgumentError(
          absl::StrCat("process record: '", absl::CHexEscape(pair), "' is no field of it"));
    }
  }
  if (record.pid <= 0 || record.start_time == 0) {
    return absl::InvalidArgumentError("process record: pid or start time is absent");
  }
  record.group = ControlGroup(unified, memory_v1);
  return record;
}

bool LocalProcessRecord::Alive() const {
  if (boot_id != BootId()) return false;
  const auto stat = ReadProcessStat(pid);
  return stat.has_value() && stat->start_time == start_time && !stat->dead();
}

absl::StatusOr<std::string> AttemptFolderName(std::string_view attempt) {
  TY_ASSIGN_OR_RETURN(const AttemptName name, AttemptName::Parse(attempt));
  // Ids hold no dots.
  return absl::StrCat(name.job.project, ".", name.job.job, ".", name.attempt);
}

}  // namespace trainyard
