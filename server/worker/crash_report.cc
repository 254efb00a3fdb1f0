#include "server/worker/crash_report.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

namespace trainyard {
namespace {

constexpr size_t kPhaseBytes = 64;
constexpr size_t kAlternateStackBytes = 64 << 10;

// Words of atomics, so that a handler may read while a thread writes: at worst the text is mixed.
using PhaseText = std::array<std::atomic<uint64_t>, kPhaseBytes / sizeof(uint64_t)>;
PhaseText phase_text;
std::atomic<int64_t> phase_step = 0;

struct SignalName {
  int signal;
  const char* name;
};
constexpr SignalName kSignals[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
                                   {SIGILL, "SIGILL"},   {SIGABRT, "SIGABRT"}, {SIGSYS, "SIGSYS"}};

// A line built without allocation.
class Line {
 public:
  void Add(const char* text) {
    for (; *text != '\0' && size_ < sizeof(text_) - 1; ++text) text_[size_++] = *text;
  }
  void Add(int64_t number) {
    char digits[24];
    size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    uint64_t left = number < 0 ? -static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
    do {
      digits[--at] = static_cast<char>('0' + left % 10);
      left /= 10;
    } while (left > 0);
    if (number < 0) digits[--at] = '-';
    Add(digits + at);
  }
  void Write() {
    text_[size_++] = '\n';
    [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, text_, size_);
  }

 private:
  char text_[256];
  size_t size_ = 0;
};

void HandleFatalSignal(int signal) {
  char phase[kPhaseBytes];
  for (size_t i = 0; i < phase_text.size(); ++i) {
    const uint64_t word = phase_text[i].load(std::memory_order_relaxed);
    memcpy(phase + i * sizeof(word), &word, sizeof(word));
  }
  phase[kPhaseBytes - 1] = '\0';
  Line line;
  line.Add("trainyard-worker: died of ");
  for (const SignalName& entry : kSignals) {
    if (entry.signal == signal) line.Add(entry.name);
  }
  line.Add(" in phase '");
  line.Add(phase);
  line.Add("', step ");
  line.Add(phase_step.load(std::memory_order_relaxed));
  line.Write();
  // The handler was reset on entry (SA_RESETHAND); the signal is blocked until this returns, and
  // then it is delivered with its default action.
  raise(signal);
}

}  // namespace

void UseAlternateSignalStack() {
  void* memory = mmap(nullptr, kAlternateStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  stack_t stack = {};
  stack.ss_sp = memory;
  stack.ss_size = kAlternateStackBytes;
  sigaltstack(&stack, nullptr);
}

void InstallCrashReport() {
  SetCrashPhase("start", 0);
  struct sigaction action = {};
  action.sa_handler = HandleFatalSignal;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_ONSTACK);
  for (const SignalName& entry : kSignals) sigaction(entry.signal, &action, nullptr);
}

void SetCrashPhase(std::string_view phase, int64_t step) {
  char text[kPhaseBytes] = {};
  memcpy(text, phase.data(), std::min(phase.size(), kPhaseBytes - 1));
  for (size_t i = 0; i < phase_text.size(); ++i) {
    uint64_t word = 0;
    memcpy(&word, text + i * sizeof(word), sizeof(word));
    phase_text[i].store(word, std::memory_order_relaxed);
  }
  phase_step.store(step, std::memory_order_relaxed);
}

}  // namespace trainyard
