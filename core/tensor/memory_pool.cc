#include "core/tensor/memory_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/tensor/tensor_error.h"

// Present where AddressSanitizer is linked.
extern "C" {
__attribute__((weak)) void __asan_poison_memory_region(const volatile void* start, size_t bytes);
__attribute__((weak)) void __asan_unpoison_memory_region(const volatile void* start, size_t bytes);
}

namespace trainyard {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;
// Segments grow with the pool, so that there are few of them.
constexpr size_t kSmallestSegment = size_t{2} << 20;
constexpr size_t kLargestGrowth = size_t{64} << 20;

constexpr size_t RoundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

class MappedSegments : public SegmentSource {
 public:
  void* Allocate(size_t bytes) override {
    // Room for moving the start to a border of huge pages.
    const size_t mapped = bytes + kHugePage;
    void* const raw = mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED) return nullptr;
    const uintptr_t first = reinterpret_cast<uintptr_t>(raw);
    const uintptr_t start = RoundUp(first, kHugePage);
    if (start > first) munmap(raw, start - first);
    const uintptr_t end = start + bytes;
    if (first + mapped > end) munmap(reinterpret_cast<void*>(end), first + mapped - end);
    void* const segment = reinterpret_cast<void*>(start);
    madvise(segment, bytes, MADV_HUGEPAGE);
    return segment;
  }
  void Free(void* segment, size_t bytes) override { munmap(segment, bytes); }
  bool is_host() const override { return true; }
};

}  // namespace

std::unique_ptr<SegmentSource> HostSegments() { return std::make_unique<MappedSegments>(); }

MemoryPool::MemoryPool(std::unique_ptr<SegmentSource> source, size_t limit_bytes)
    : source_(std::move(source)), limit_bytes_(limit_bytes), is_host_(source_->is_host()) {}

MemoryPool::~MemoryPool() {
  for (const auto& [number, segment] : segments_) {
    Permit(segment.first, segment.second);
    source_->Free(segment.first, segment.second);
  }
}

void MemoryPool::Forbid(const void* start, size_t bytes) const {
  if (is_host_ && __asan_poison_memory_region != nullptr) __asan_poison_memory_region(start, bytes);
}

void MemoryPool::Permit(const void* start, size_t bytes) const {
  if (is_host_ && __asan_unpoison_memory_region != nullptr) {
    __asan_unpoison_memory_region(start, bytes);
  }
}

void* MemoryPool::Allocate(size_t bytes) {
  if (bytes == 0) return nullptr;
  const size_t rounded = RoundUp(bytes, kAlignment);
  const std::lock_guard lock(mutex_);
  Block* block = TakeFree(rounded);
  if (block == nullptr) block = NewSegment(rounded);
  SplitOff(block, rounded);
  block->free = false;
  Permit(block->address, bytes);
  used_blocks_.emplace(block->address, block);
  statistics_.live_bytes += block->bytes;
  statistics_.peak_live_bytes = std::max(statistics_.peak_live_bytes, statistics_.live_bytes);
  return block->address;
}

void MemoryPool::Free(void* address) {
  if (address == nullptr) return;
  const std::lock_guard lock(mutex_);
  const auto found = used_blocks_.find(address);
  Block* block = found->second;
  used_blocks_.erase(found);
  Forbid(block->address, block->bytes);
  statistics_.live_bytes -= block->bytes;
  block->free = true;
  if (block->behind != nullptr && block->behind->free) {
    free_blocks_.erase(block->behind);
    Join(block, block->behind);
  }
  if (block->before != nullptr && block->before->free) {
    free_blocks_.erase(block->before);
    block = block->before;
    Join(block, block->behind);
  }
  free_blocks_.insert(block);
}

MemoryStatistics MemoryPool::statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

void MemoryPool::ResetPeak() {
  const std::lock_guard lock(mutex_);
  statistics_.peak_live_bytes = statistics_.live_bytes;
  statistics_.peak_reserved_bytes = statistics_.reserved_bytes;
}

void MemoryPool::ReleaseUnused() {
  const std::lock_guard lock(mutex_);
  ReleaseUnusedLocked();
}

MemoryPool::Block* MemoryPool::TakeFree(size_t bytes) {
  Block wanted;
  wanted.bytes = bytes;
  const auto found = free_blocks_.lower_bound(&wanted);
  if (found == free_blocks_.end()) return nullptr;
  Block* const block = *found;
  free_blocks_.erase(found);
  return block;
}

MemoryPool::Block* MemoryPool::NewSegment(size_t bytes) {
  const size_t growth =
      std::clamp(statistics_.reserved_bytes / 4, kSmallestSegment, kLargestGrowth);
  size_t segment_bytes = RoundUp(std::max(bytes, growth), kHugePage);
  const auto fits = [&](size_t size) {
    return limit_bytes_ == 0 || statistics_.reserved_bytes + size <= limit_bytes_;
  };
  if (!fits(segment_bytes)) {
    ReleaseUnusedLocked();
    segment_bytes = RoundUp(bytes, kHugePage);
  }
  void* segment = fits(segment_bytes) ? source_->Allocate(segment_bytes) : nullptr;
  if (segment == nullptr) {
    ReleaseUnusedLocked();
    segment_bytes = RoundUp(bytes, kHugePage);
    segment = fits(segment_bytes) ? source_->Allocate(segment_bytes) : nullptr;
  }
  if (segment == nullptr) {
    throw TensorError(absl::ResourceExhaustedError(absl::StrCat(
        "memory for tensors ran out: ", bytes, " bytes were asked for, ", statistics_.live_bytes,
        " are in use", limit_bytes_ == 0 ? "" : absl::StrCat(", the limit is ", limit_bytes_))));
  }
  segments_[next_segment_] = {segment, segment_bytes};
  Forbid(segment, segment_bytes);
  Block* const block = NewBlock();
  *block = {.address = static_cast<std::byte*>(segment),
            .bytes = segment_bytes,
            .segment = next_segment_++,
            .free = true};
  statistics_.reserved_bytes += segment_bytes;
  statistics_.peak_reserved_bytes =
      std::max(statistics_.peak_reserved_bytes, statistics_.reserved_bytes);
  return block;
}

void MemoryPool::SplitOff(Block* block, size_t bytes) {
  if (block->bytes == bytes) return;
  Block* const rest = NewBlock();
  *rest = {.address = block->address + bytes,
           .bytes = block->bytes - bytes,
           .segment = block->segment,
           .free = true,
           .before = block,
           .behind = block->behind};
  if (rest->behind != nullptr) rest->behind->before = rest;
  block->behind = rest;
  block->bytes = bytes;
  free_blocks_.insert(rest);
}

void MemoryPool::Join(Block* first, Block* second) {
  first->bytes += second->bytes;
  first->behind = second->behind;
  if (first->behind != nullptr) first->behind->before = first;
  RecycleBlock(second);
}

void MemoryPool::ReleaseUnusedLocked() {
  for (auto i = free_blocks_.begin(); i != free_blocks_.end();) {
    Block* const block = *i;
    if (block->before != nullptr || block->behind != nullptr) {
      ++i;
      continue;
    }
    i = free_blocks_.erase(i);
    Permit(block->address, block->bytes);
    source_->Free(block->address, block->bytes);
    statistics_.reserved_bytes -= block->bytes;
    segments_.erase(block->segment);
    RecycleBlock(block);
  }
}

MemoryPool::Block* MemoryPool::NewBlock() {
  if (spare_blocks_.empty()) {
    block_storage_.push_back(std::make_unique<Block>());
    return block_storage_.back().get();
  }
  Block* const block = spare_blocks_.back();
  spare_blocks_.pop_back();
  return block;
}

void MemoryPool::RecycleBlock(Block* block) { spare_blocks_.push_back(block); }

}  // namespace trainyard
