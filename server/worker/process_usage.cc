#include "server/worker/process_usage.h"

#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <string>

#include "server/execution/local/small_files.h"

namespace trainyard {

int64_t ResidentBytes() {
  // `size resident …` in pages.
  const auto text = ReadSmallFile("/proc/self/statm");
  if (!text.has_value()) return 0;
  const size_t space = text->find(' ');
  int64_t pages = 0;
  if (space == std::string::npos) return 0;
  std::from_chars(text->data() + space + 1, text->data() + text->size(), pages);
  return pages * sysconf(_SC_PAGESIZE);
}

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace trainyard
