// The ways in which a diagnostic job harms its own process.
#pragma once

#include <cstdint>

namespace trainyard {

// Starts `count` processes, each forked twice into a session of its own, that ignore SIGTERM and
// sleep until they are killed. False when the system does not give that many.
bool StartStrayProcesses(int count);

// Dies of SIGSEGV.
[[noreturn]] void Crash();

// Stops the whole process until it is killed.
[[noreturn]] void Hang();

// Allocates and touches memory for as long as there is some. Throws std::bad_alloc in the end, if
// the process is not killed before.
void EatMemory();

}  // namespace trainyard
