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
  node->size_ = 1 + SizeOf(node->left_) + SizeOf(node->right_);
  node->least_memory_ =
      std::min({node->memory_bytes, LeastOf(node->left_ ? &node->left_->least_memory_ : nullptr),
                LeastOf(node->right_ ? &node->right_->least_memory_ : nullptr)});
}

void FifoIndex::Split(FifoNode* node, const FifoNode* pivot, FifoNode*& low, FifoNode*& high) {
  if (node == nullptr) {
    low = high = nullptr;
  } else if (Before(node, pivot)) {
    Split(node->right_, pivot, node->right_, high);
    low = node;
    Update(low);
  } else {
    Split(node->left_, pivot, low, node->left_);
    high = node;
    Update(high);
  }
}

FifoNode* FifoIndex::Merge(FifoNode* low, FifoNode* high) {
  if (low == nullptr) return high;
  if (high == nullptr) return low;
  if (low->heap_key_ > high->heap_key_) {
    low->right_ = Merge(low->right_, high);
    Update(low);
    return low;
  }
  high->left_ = Merge(low, high->left_);
  Update(high);
  return high;
}

FifoNode* FifoIndex::InsertInto(FifoNode* root, FifoNode* node) {
  if (root == nullptr || node->heap_key_ > root->heap_key_) {
    Split(root, node, node->left_, node->right_);
    Update(node);
    return node;
  }
  FifoNode*& child = Before(node, root) ? root->left_ : root->right_;
  child = InsertInto(child, node);
  Update(root);
  return root;
}

FifoNode* FifoIndex::EraseFrom(FifoNode* root, FifoNode* node) {
  if (root == node) return Merge(node->left_, node->right_);
  FifoNode*& child = Before(node, root) ? root->left_ : root->right_;
  child = EraseFrom(child, node);
  Update(root);
  return root;
}

void FifoIndex::Insert(FifoNode* node) {
  node->left_ = node->right_ = nullptr;
  node->heap_key_ = static_cast<uint32_t>(random_());
  Update(node);
  root_ = InsertInto(root_, node);
}

void FifoIndex::Erase(FifoNode* node) { root_ = EraseFrom(root_, node); }

FifoNode* FifoIndex::At(int64_t position) const {
  FifoNode* node = root_;
  while (node != nullptr) {
    const int64_t left = SizeOf(node->left_);
    if (position == left) return node;
    if (position < left) {
      node = node->left_;
    } else {
      position -= left + 1;
      node = node->right_;
    }
  }
  return nullptr;
}

FifoNode* FifoIndex::OldestWithin(int64_t memory_bytes) const {
  FifoNode* node = root_;
  if (node == nullptr || node->least_memory_ > memory_bytes) return nullptr;
  while (true) {
    if (node->left_ != nullptr && node->left_->least_memory_ <= memory_bytes) {
      node = node->left_;
    } else if (node->memory_bytes <= memory_bytes) {
      return node;
    } else {
      node = node->right_;
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
      count += SizeOf(node->left_) + 1;
      node = node->right_;
    } else {
      node = node->left_;
    }
  }
  return count;
}

}  // namespace trainyard
