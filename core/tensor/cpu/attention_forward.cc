// softmax(scale Q K') V by blocks of queries, which pass over blocks of keys with a running maximum
// and sum for each row (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018;
// Dao et al., "FlashAttention", 2022).
#include <cmath>
#include <limits>
#include <numbers>

#include "core/tensor/cpu/attention_scores.h"
#include "core/tensor/cpu/cpu_attention.h"
#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/score_rows.h"
#include "core/tensor/cpu/serial_gemm.h"

namespace trainyard::cpu_attention {
namespace {

constexpr int64_t kKeysOfTile = 512;

// Small blocks waste less above the diagonal, large ones load keys and values less often.
int64_t RowsOfBlock(const AttentionArguments& a) {
  return a.causal && a.q.size(2) <= 2048 ? 64 : 128;
}

template <typename T>
class Forward {
 public:
  Forward(const AttentionArguments& arguments, int threads)
      : a_(arguments),
        rows_(arguments.q.size(2)),
        dh_(arguments.q.size(3)),
        dv_(arguments.v.size(3)),
        q_(arguments.q),
        k_(arguments.k),
        v_(arguments.v),
        out_(arguments.out),
        logsumexp_(arguments.logsumexp.defined() ? arguments.logsumexp.data<T>() : nullptr),
        mask_(arguments),
        rows_of_block_(RowsOfBlock(arguments)),
        scratch_(Tensor::Empty(arguments.q.device(), {threads, ScratchOfThread()}, DTypeOf<T>())) {}

  void Run(ThreadPool& threads) {
    const int64_t heads = a_.q.size(1);
    const int64_t blocks = (rows_ + rows_of_block_ - 1) / rows_of_block_;
    // Blocks of late rows first: under a causal mask they take longest.
    threads.Run(a_.q.size(0) * heads * blocks, [&](int64_t task, int thread) {
      const int64_t pair = task % (a_.q.size(0) * heads);
      const int64_t block = blocks - 1 - task / (a_.q.size(0) * heads);
      const int64_t first = block * rows_of_block_;
      RunBlock(pair / heads, pair % heads, first, std::min(rows_of_block_, rows_ - first), thread);
    });
  }

 private:
  int64_t ScratchOfThread() const { return rows_of_block_ * (kKeysOfTile + 2); }

  void RunBlock(int64_t batch, int64_t head, int64_t first, int64_t rows, int thread) {
    T* scores = scratch_.template data<T>() + thread * ScratchOfThread();
    T* maxima = scores + rows_of_block_ * kKeysOfTile;
    T* sums = maxima + rows_of_block_;
    std::fill_n(maxima, rows, -std::numeric_limits<T>::infinity());
    std::fill_n(sums, rows, T{0});
    const int64_t keys_end = mask_.KeysBefore(first + rows - 1);
    bool started = false;
    for (int64_t key = 0; key < keys_end; key += kKeysOfTile) {
      const ScoreTile tile{batch, first, rows, key, std::min(kKeysOfTile, keys_end - key)};
      const Visibility visibility = mask_.Of(tile);
      if (visibility == Visibility::kNothing) continue;
      SerialGemm({rows, tile.keys, dh_, false, true}, ScoreScale(), q_.Row(batch, head, first),
                 q_.stride(), k_.Row(batch, head, key), k_.stride(), T{0}, scores, kKeysOfTile);
      if (visibility == Visibility::kSome) mask_.Hide(tile, scores, kKeysOfTile);
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t visible =
            std::clamp<int64_t>(mask_.KeysBefore(first + i) - key, 0, tile.keys);
        T* const out = started ? out_.Row(batch, head, first + i) : nullptr;
        Weigh(scores + i * kKeysOfTile, visible, tile.keys, maxima[i], sums[i], out);
      }
      SerialGemm({rows, dv_, tile.keys}, T{1}, scores, kKeysOfTile, v_.Row(batch, head, key),
                 v_.stride(), started ? T{1} : T{0}, out_.Row(batch, head, first), out_.stride());
      started = true;
    }
    for (int64_t i = 0; i < rows; ++i) {
      Finish(batch, head, first + i, started, maxima[i], sums[i]);
    }
  }

  // Scores of the first `visible` keys become weights relative to the row's new maximum, the others
  // 0; what was summed for the row before (null: nothing) is put in proportion.
  void Weigh(T* scores, int64_t visible, int64_t keys, T& maximum, T& sum, T* out) const {
    const T highest = MaximumOfRow(scores, visible);
    if (highest == -std::numeric_limits<T>::infinity()) {
      std::fill_n(scores, keys, T{0});
      return;
    }
    if (highest > maximum) {
      const T factor = std::exp2(maximum - highest);
      sum *= factor;
      if (out != nullptr) {
        for (int64_t j = 0; j < dv_; ++j) out[j] *= factor;
      }
      maximum = highest;
    }
    sum += ExponentiateRow(scores, visible, maximum);
    std::fill(scores + visible, scores + keys, T{0});
  }

  void Finish(int64_t batch, int64_t head, int64_t row, bool started, T maximum, T sum) const {
    T* const out = out_.Row(batch, head, row);
    const bool sees_nothing = sum == T{0};
    if (!started) {
      std::fill_n(out, dv_, T{0});
    } else if (!sees_nothing) {
      const T factor = T{1} / sum;
      for (int64_t j = 0; j < dv_; ++j) out[j] *= factor;
    }
    if (logsumexp_ == nullptr) return;
    logsumexp_[(batch * a_.q.size(1) + head) * rows_ + row] =
        sees_nothing ? -std::numeric_limits<T>::infinity()
                     : (maximum + std::log2(sum)) * std::numbers::ln2_v<T>;
  }

  T ScoreScale() const { return static_cast<T>(a_.scale * std::numbers::log2e); }

  const AttentionArguments& a_;
  const int64_t rows_;
  const int64_t dh_;
  const int64_t dv_;
  const HeadRows<T> q_;
  const HeadRows<T> k_;
  const HeadRows<T> v_;
  const HeadRows<T> out_;
  T* const logsumexp_;
  const AttentionMask mask_;
  const int64_t rows_of_block_;
  const Tensor scratch_;
};

}  // namespace

void Attend(CpuDevice& device, const AttentionArguments& arguments) {
  if (arguments.out.elements() == 0) return;
  DispatchFloating(arguments.q.dtype(), "attention", [&]<typename T>() {
    Forward<T>(arguments, device.threads().threads()).Run(device.threads());
  });
}

}  // namespace trainyard::cpu_attention
