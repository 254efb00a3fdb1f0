#include "server/scheduler/fifo_index.h"

#include <algorithm>
#include <limits>

namespace trainyard {
namespace {

int64_t LeastOf(const int64_t* value) {
  return value == nullptr ? std::numeric_limits<int64_t>::max() : *value;
}

}  // namespace

bool FifoIndex::Before(const FifoNode* a, const FifoNode* b) {
  if (a->create_time != b->create_time) return a->create_time < b->create_time;
  return a->sequence < b->sequence;
}

void FifoIndex::Update(FifoNode* node) {
  node->size = 1 + SizeOf(node->left) + SizeOf(node->right);
  node->least_memory =
      std::min({node->memory_bytes, LeastOf(node->left ? &node->left->least_memory : nullptr),
                LeastOf(node->right ? &node->right->least_memory : nullptr)});
}

void FifoIndex::Split(FifoNode* node, const FifoNode* pivot, FifoNode*& low, FifoNode*& high) {
  if (node == nullptr) {
    low = high = nullptr;
  } else if (Before(node, pivot)) {
    Split(node->right, pivot, node->right, high);
    low = node;
    Update(low);
  } else {
    Split(node->left, pivot, low, node->left);
    high = node;
    Update(high);
  }
}

FifoNode* FifoIndex::Merge(FifoNode* low, FifoNode* high) {
  if (low == nullptr) return high;
  if (high == nullptr) return low;
  if (low->heap_key > high->heap_key) {
    low->right = Merge(low->right, high);
    Update(low);
    return low;
  }
  high->left = Merge(low, high->left);
  Update(high);
  return high;
}

FifoNode* FifoIndex::InsertInto(FifoNode* root, FifoNode* node) {
  if (root == nullptr || node->heap_key > root->heap_key) {
    Split(root, node, node->left, node->right);
    Update(node);
    return node;
  }
  FifoNode*& child = Before(node, root) ? root->left : root->right;
  child = InsertInto(child, node);
  Update(root);
  return root;
}

FifoNode* FifoIndex::EraseFrom(FifoNode* root, FifoNode* node) {
  if (root == node) return Merge(node->left, node->right);
  FifoNode*& child = Before(node, root) ? root->left : root->right;
  child = EraseFrom(child, node);
  Update(root);
  return root;
}

void FifoIndex::Insert(FifoNode* node) {
  node->left = node->right = nullptr;
  node->heap_key = static_cast<uint32_t>(random_());
  Update(node);
  root_ = InsertInto(root_, node);
}

void FifoIndex::Erase(FifoNode* node) { root_ = EraseFrom(root_, node); }

FifoNode* FifoIndex::At(int64_t position) const {
  FifoNode* node = root_;
  while (node != nullptr) {
    const int64_t left = SizeOf(node->left);
    if (position == left) return node;
    if (position < left) {
      node = node->left;
    } else {
      position -= left + 1;
      node = node->right;
    }
  }
  return nullptr;
}

FifoNode* FifoIndex::OldestWithin(int64_t memory_bytes) const {
  FifoNode* node = root_;
  if (node == nullptr || node->least_memory > memory_bytes) return nullptr;
  while (true) {
    if (node->left != nullptr && node->left->least_memory <= memory_bytes) {
      node = node->left;
    } else if (node->memory_bytes <= memory_bytes) {
      return node;
    } else {
      node = node->right;
    }
  }
}

int64_t FifoIndex::CountBefore(absl::Time time) const { return CountBefore(time, 0); }

int64_t FifoIndex::CountBefore(absl::Time time, uint64_t sequence) const {
  FifoNode pivot;
  pivot.create_time = time;
  pivot.sequence = sequence;
  int64_t count = 0;
  for (const FifoNode* node = root_; node != nullptr;) {
    if (Before(node, &pivot)) {
      count += SizeOf(node->left) + 1;
      node = node->right;
    } else {
      node = node->left;
    }
  }
  return count;
}

}  // namespace trainyard
