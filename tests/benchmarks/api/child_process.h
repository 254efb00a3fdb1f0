// Parts of the benchmark in processes of their own, so that the memory and the processor time of
// one side can be told from the other's. A child is this program with other arguments.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace trainyard {

class ChildProcess {
 public:
  // `upload-server`: a server whose data sets are not parsed. `floor-server`: a FloorServer.
  // `readers ADDRESS COUNT`: so many watchers of the job `busy`, at low priority.
  explicit ChildProcess(const std::vector<std::string>& arguments);
  // Ends it and waits.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // The address that a server listens on.
  const std::string& address() const { return address_; }
  // Largest resident memory since the last reset, in MiB.
  double PeakMemory() const;
  void ResetPeakMemory() const;

 private:
  pid_t process_ = 0;
  int input_ = -1;  // the child ends when it is closed
  std::string address_;
};

// When this process is a child: does its work and returns its exit code.
std::optional<int> RunAsChild(int argc, char** argv);

}  // namespace trainyard
