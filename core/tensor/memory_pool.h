// Memory for tensors: blocks that are kept for the next request, with accounts of the peak.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>
#include <vector>

namespace trainyard {

// Where a pool gets its segments from: the host's or a device's memory.
class SegmentSource {
 public:
  virtual ~SegmentSource() = default;
  // `bytes` of memory aligned to at least 256 bytes, or nullptr when there is none.
  virtual void* Allocate(size_t bytes) = 0;
  virtual void Free(void* segment, size_t bytes) = 0;
  // Whether segments are in the host's address space.
  virtual bool is_host() const { return false; }
};

// Pages of the host, in huge pages where the system grants them. Untouched pages cost nothing.
std::unique_ptr<SegmentSource> HostSegments();

struct MemoryStatistics {
  size_t live_bytes = 0;           // in blocks that are in use, rounded up as handed out
  size_t peak_live_bytes = 0;      // the most since the last ResetPeak
  size_t reserved_bytes = 0;       // in segments
  size_t peak_reserved_bytes = 0;  // the most since the last ResetPeak
};

// Hands out blocks of segments: the smallest free block that fits, split where that pays; a freed
// block is joined with its free neighbours. A request costs no system call once the pool has seen a
// step of the training. Thread-safe. Work on a device is ordered by one stream, so a block may be
// handed out again while the work of its last owner is still queued.
class MemoryPool {
 public:
  // At most `limit_bytes` in segments; 0: no limit of our own.
  explicit MemoryPool(std::unique_ptr<SegmentSource> source, size_t limit_bytes = 0);
  ~MemoryPool();
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  // A block of at least `bytes`, aligned to 64 bytes; its content is undefined. Throws TensorError
  // RESOURCE_EXHAUSTED, with the figures, when there is no memory. A request of 0 bytes gives
  // nullptr.
  void* Allocate(size_t bytes);
  void Free(void* block);

  MemoryStatistics statistics() const;
  // The peaks become the present values.
  void ResetPeak();
  // Gives segments without a block in use back to their source.
  void ReleaseUnused();

 private:
  struct Block {
    std::byte* address = nullptr;
    size_t bytes = 0;
    int segment = 0;
    bool free = false;
    Block* before = nullptr;  // neighbours in the segment, by address
    Block* behind = nullptr;
  };
  struct BySize {
    bool operator()(const Block* a, const Block* b) const {
      return a->bytes != b->bytes ? a->bytes < b->bytes : a->address < b->address;
    }
  };

  Block* TakeFree(size_t bytes);
  Block* NewSegment(size_t bytes);
  void SplitOff(Block* block, size_t bytes);
  void Join(Block* first, Block* second);
  void ReleaseUnusedLocked();
  Block* NewBlock();
  void RecycleBlock(Block* block);
  void Forbid(const void* start, size_t bytes) const;
  void Permit(const void* start, size_t bytes) const;

  const std::unique_ptr<SegmentSource> source_;
  const size_t limit_bytes_;
  const bool is_host_;
  mutable std::mutex mutex_;
  // All below is guarded by mutex_.
  MemoryStatistics statistics_;
  std::set<Block*, BySize> free_blocks_;
  std::unordered_map<void*, Block*> used_blocks_;
  std::map<int, std::pair<void*, size_t>> segments_;
  int next_segment_ = 0;
  std::vector<std::unique_ptr<Block>> block_storage_;
  std::vector<Block*> spare_blocks_;
};

}  // namespace trainyard
