// Addresses to listen on.
#pragma once

#include <string>

namespace trainyard {

// Whether `address` has the form HOST:PORT with a port from 0 to 65535.
bool IsListenAddress(const std::string& address);

// Whether HOST:PORT can be reached from this machine only.
bool IsLoopback(const std::string& address);

}  // namespace trainyard
