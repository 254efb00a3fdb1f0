// Memory for the values of a column.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace trainyard {

// `bytes` bytes that are not initialised; null when there are none. Large blocks ask the system for
// huge pages. To be freed by std::free.
void* AllocateColumnBytes(size_t bytes);

// Room for `count` values, not initialised; null when memory ran out.
template <typename T>
std::shared_ptr<T[]> AllocateColumn(int64_t count);

extern template std::shared_ptr<double[]> AllocateColumn(int64_t count);
extern template std::shared_ptr<int32_t[]> AllocateColumn(int64_t count);

}  // namespace trainyard
