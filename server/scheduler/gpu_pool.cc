#include "server/scheduler/gpu_pool.h"

#include <algorithm>

namespace trainyard {

std::vector<std::string> GpuPool::Take(std::string_view job, int count) {
  std::vector<std::string> taken;
  for (const Gpu& gpu : gpus_) {
    if (static_cast<int>(taken.size()) == count) break;
    if (owners_.try_emplace(gpu.id, job).second) taken.push_back(gpu.id);
  }
  return taken;
}

void GpuPool::TakeThese(std::string_view job, const std::vector<std::string>& ids) {
  for (const Gpu& gpu : gpus_) {
    if (std::ranges::find(ids, gpu.id) != ids.end()) owners_.try_emplace(gpu.id, job);
  }
}

std::vector<std::string> GpuPool::DriverNames(std::string_view job) const {
  std::vector<std::string> names;
  for (const Gpu& gpu : gpus_) {
    const auto owner = owners_.find(gpu.id);
    if (owner != owners_.end() && owner->second == job) names.push_back(gpu.driver_name);
  }
  return names;
}

void GpuPool::Release(std::string_view job) {
  std::erase_if(owners_, [job](const auto& entry) { return entry.second == job; });
}

}  // namespace trainyard
