#include "core/nn/training/thread_all_reduce.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "core/base/mutex.h"
#include "core/base/status.h"

namespace trainyard::nn {
namespace {

// A stretch of numbers of one worker.
struct Stretch {
  void* data = nullptr;
  int64_t count = 0;
  DType type = DType::kFloat64;
};

// Where the workers meet. Each publishes its stretches; after all have, each sums a part of every
// stretch for all, in order of rank.
class Meeting {
 public:
  explicit Meeting(int workers) : workers_(workers), published_(static_cast<size_t>(workers)) {}

  int workers() const { return workers_; }

  absl::Status Sum(int rank, std::vector<Stretch> stretches) {
    {
      MutexLock lock(&mutex_);
      published_[static_cast<size_t>(rank)] = std::move(stretches);
    }
    TY_RETURN_IF_ERROR(Wait());
    const absl::Status status = SumPart(rank);
    TY_RETURN_IF_ERROR(Wait());
    return status;
  }

  void Leave() {
    MutexLock lock(&mutex_);
    left_ = true;
  }

 private:
  // Until all workers are here.
  absl::Status Wait() {
    MutexLock lock(&mutex_);
    if (left_) return Left();
    const int64_t round = round_;
    if (++arrived_ == workers_) {
      arrived_ = 0;
      ++round_;
    } else {
      mutex_.Await([this, round]()
                       ABSL_NO_THREAD_SAFETY_ANALYSIS { return round_ != round || left_; });
    }
    return round_ != round ? absl::OkStatus() : Left();
  }

  static absl::Status Left() {
    return absl::AbortedError("another worker of the training has ended");
  }

  // Between two waits nobody writes `published_`.
  absl::Status SumPart(int rank) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const std::vector<Stretch>& own = published_[static_cast<size_t>(rank)];
    for (const std::vector<Stretch>& other : published_) {
      if (!std::ranges::equal(own, other, {}, &Stretch::count, &Stretch::count)) {
        return absl::InternalError("workers of one training differ in what they sum");
      }
    }
    for (size_t i = 0; i < own.size(); ++i) {
      if (own[i].type == DType::kFloat32) {
        SumStretch<float>(rank, i);
      } else {
        SumStretch<double>(rank, i);
      }
    }
    return absl::OkStatus();
  }

  template <typename T>
  void SumStretch(int rank, size_t index) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const int64_t count = published_[0][index].count;
    const int64_t begin = count * rank / workers_;
    const int64_t end = count * (rank + 1) / workers_;
    T* const total = static_cast<T*>(published_[0][index].data);
    for (size_t other = 1; other < published_.size(); ++other) {
      const T* const values = static_cast<const T*>(published_[other][index].data);
      for (int64_t i = begin; i < end; ++i) total[i] += values[i];
    }
    for (size_t other = 1; other < published_.size(); ++other) {
      std::copy(total + begin, total + end, static_cast<T*>(published_[other][index].data) + begin);
    }
  }

  const int workers_;
  Mutex mutex_;
  int arrived_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t round_ ABSL_GUARDED_BY(mutex_) = 0;
  bool left_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::vector<Stretch>> published_ ABSL_GUARDED_BY(mutex_);
};

class ThreadAllReduce final : public AllReduce {
 public:
  ThreadAllReduce(int rank, std::shared_ptr<Meeting> meeting)
      : rank_(rank), meeting_(std::move(meeting)) {}
  ~ThreadAllReduce() override { Leave(); }

  int rank() const override { return rank_; }
  int workers() const override { return meeting_->workers(); }

  absl::Status Sum(std::span<const Tensor> tensors) override {
    std::vector<Stretch> stretches;
    for (const Tensor& tensor : tensors) {
      const bool fits =
          tensor.device().is_host() && tensor.is_contiguous() && IsFloating(tensor.dtype());
      if (!fits) {
        return absl::InvalidArgumentError(
            absl::StrCat("all-reduce: ", tensor.Description(), " cannot be summed by threads"));
      }
      stretches.push_back({tensor.raw_data(), tensor.elements(), tensor.dtype()});
    }
    return meeting_->Sum(rank_, std::move(stretches));
  }

  absl::Status Sum(std::span<double> values) override {
    return meeting_->Sum(rank_,
                         {{values.data(), static_cast<int64_t>(values.size()), DType::kFloat64}});
  }

  void Leave() override { meeting_->Leave(); }

 private:
  const int rank_;
  const std::shared_ptr<Meeting> meeting_;
};

}  // namespace

std::vector<std::unique_ptr<AllReduce>> MakeThreadAllReduce(int workers) {
  const auto meeting = std::make_shared<Meeting>(workers);
  std::vector<std::unique_ptr<AllReduce>> ends;
  for (int rank = 0; rank < workers; ++rank) {
    ends.push_back(std::make_unique<ThreadAllReduce>(rank, meeting));
  }
  return ends;
}

}  // namespace trainyard::nn
