#include "core/data/column_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

namespace trainyard {

void* AllocateColumnBytes(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  if (bytes < 2 * kHugePage) return std::malloc(std::max<size_t>(bytes, 1));
  const size_t whole_pages = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void* const block = std::aligned_alloc(kHugePage, whole_pages);
  if (block != nullptr) madvise(block, whole_pages, MADV_HUGEPAGE);
  return block;
}

template <typename T>
std::shared_ptr<T[]> AllocateColumn(int64_t count) {
  void* const block = AllocateColumnBytes(static_cast<size_t>(count) * sizeof(T));
  if (block == nullptr) return nullptr;
  return std::shared_ptr<T[]>(static_cast<T*>(block), [](T* values) { std::free(values); });
}

template std::shared_ptr<double[]> AllocateColumn(int64_t count);
template std::shared_ptr<int32_t[]> AllocateColumn(int64_t count);

}  // namespace trainyard
