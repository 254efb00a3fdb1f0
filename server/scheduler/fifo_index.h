// Jobs in order of age, from which the oldest that fits into the free memory is found quickly.
#pragma once

#include <cstdint>
#include <random>

#include "absl/time/time.h"

namespace trainyard {

// A node of a FifoIndex; a base of whatever is kept in one. Owned by whoever made it.
struct FifoNode {
  absl::Time create_time;
  uint64_t sequence = 0;  // order among equal times; unique
  int64_t memory_bytes = 0;

 private:
  friend class FifoIndex;
  FifoNode* left_ = nullptr;
  FifoNode* right_ = nullptr;
  int64_t least_memory_ = 0;  // of this subtree
  int32_t size_ = 1;          // of this subtree
  uint32_t heap_key_ = 0;
};

// Nodes ordered by (create_time, sequence): a treap whose subtrees know their size and their least
// memory demand. All operations but size() take O(log n) expected time. Not thread-safe.
class FifoIndex {
 public:
  void Insert(FifoNode* node);
  // `node` must be in the index.
  void Erase(FifoNode* node);
  int64_t size() const { return SizeOf(root_); }
  bool empty() const { return root_ == nullptr; }

  // The node at `position`, 0 the oldest; null beyond the end.
  FifoNode* At(int64_t position) const;
  // The oldest node that needs at most `memory_bytes`; null when there is none.
  FifoNode* OldestWithin(int64_t memory_bytes) const;
  // Number of nodes with a create time before `time`.
  int64_t CountBefore(absl::Time time) const;
  // Number of nodes before (`time`, `sequence`).
  int64_t CountBefore(absl::Time time, uint64_t sequence) const;

 private:
  static int32_t SizeOf(const FifoNode* node) { return node == nullptr ? 0 : node->size_; }
  static bool Before(const FifoNode* a, const FifoNode* b);
  static void Update(FifoNode* node);
  // Nodes before `pivot` go to `low`, the others to `high`.
  static void Split(FifoNode* node, const FifoNode* pivot, FifoNode*& low, FifoNode*& high);
  static FifoNode* Merge(FifoNode* low, FifoNode* high);
  static FifoNode* EraseFrom(FifoNode* root, FifoNode* node);
  static FifoNode* InsertInto(FifoNode* root, FifoNode* node);

  FifoNode* root_ = nullptr;
  std::minstd_rand random_;  // balance only; results do not depend on it
};

}  // namespace trainyard
