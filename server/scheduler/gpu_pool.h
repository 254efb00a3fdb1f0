// Which job has which GPU.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard {

// The GPUs of this machine; each belongs to at most one job. How many are free is the queue's
// business: it never starts a job that asks for more. Not thread-safe.
class GpuPool {
 public:
  struct Gpu {
    std::string id;           // `cuda:0`
    std::string driver_name;  // `GPU-…`
  };

  explicit GpuPool(std::vector<Gpu> gpus) : gpus_(std::move(gpus)) {}

  // Gives `count` free GPUs, the first ones, to a job that has none; their ids. Fewer where there
  // are fewer.
  std::vector<std::string> Take(std::string_view job, int count);
  // Gives the GPUs that a job got in an earlier run of the server to it again. Ids that the machine
  // has no more are ignored.
  void TakeThese(std::string_view job, const std::vector<std::string>& ids);
  // Drivers' names of a job's GPUs, in the order of the machine.
  std::vector<std::string> DriverNames(std::string_view job) const;
  // Nothing happens where the job has none.
  void Release(std::string_view job);

 private:
  const std::vector<Gpu> gpus_;
  std::map<std::string, std::string, std::less<>> owners_;  // job by id of the GPU
};

}  // namespace trainyard
