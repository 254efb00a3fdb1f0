// A line on standard error when a signal ends the worker: which one, and what it was doing.
#pragma once

#include <cstdint>
#include <string_view>

namespace trainyard {

// Installs the handlers of SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS. They write the line
// with async-signal-safe functions and let the signal take its course.
void InstallCrashReport();

// Gives the calling thread a stack of its own for the handlers, so that an overflow of its normal
// stack is reported too. Kept until the process ends.
void UseAlternateSignalStack();

// Tells what the worker is doing. Thread-safe, cheap, cut to 63 bytes.
void SetCrashPhase(std::string_view phase, int64_t step);

}  // namespace trainyard
