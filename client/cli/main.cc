// The command `trainyard`.
#include <string>
#include <vector>

#include "client/cli/app.h"

int main(int argc, char** argv) {
  return trainyard::cli::Run(std::vector<std::string>(argv + 1, argv + argc));
}
