// The gradients of softmax attention: weights are computed again from the kept logsumexp (Dao et
// al., "FlashAttention", 2022).
//
//   P = 2^(S - lse),  dV = P' dO,  dP = dO V',  dS = P * (dP - rowsum(dO * O)),
//   dQ = scale dS K,  dK = scale dS' Q
#include <cmath>
#include <limits>
#include <numbers>

#include "core/tensor/cpu/attention_scores.h"
#include "core/tensor/cpu/cpu_attention.h"
#include "core/tensor/cpu/row_products.h"
#include "core/tensor/cpu/score_rows.h"
#include "core/tensor/cpu/serial_gemm.h"

namespace trainyard::cpu_attention {
namespace {

constexpr int64_t kRowsOfTile = 256;
constexpr int64_t kKeysOfTile = 128;
constexpr int64_t kTasksWanted = 8;

// Keys of a head are dealt in blocks to `parts` tasks, which own their keys' dK and dV; each sums
// dQ by itself, and these are added up in their order. The number of parts depends on the number of
// threads only where there are more than kTasksWanted of them.
template <typename T>
class Backward {
 public:
  Backward(const AttentionArguments& forward, const AttentionGradients& gradients, int threads)
      : a_(forward),
        batches_(forward.q.size(0)),
        heads_(forward.q.size(1)),
        rows_(forward.q.size(2)),
        keys_(forward.k.size(2)),
        dh_(forward.q.size(3)),
        dv_width_(forward.v.size(3)),
        q_(forward.q),
        k_(forward.k),
        v_(forward.v),
        out_(forward.out),
        dout_(gradients.dout),
        dq_(gradients.dq),
        dk_(gradients.dk),
        dv_(gradients.dv),
        logsumexp_(forward.logsumexp.data<T>()),
        mask_(forward),
        parts_(Parts(threads)),
        means_(Tensor::Empty(forward.q.device(), {batches_, heads_, rows_}, DTypeOf<T>())),
        scratch_(Tensor::Empty(forward.q.device(), {threads, 2 * kRowsOfTile * kKeysOfTile},
                               DTypeOf<T>())) {
    for (int64_t part = 1; part < parts_; ++part) {
      partial_.push_back(
          Tensor::Empty(forward.q.device(), {batches_, heads_, rows_, dh_}, DTypeOf<T>()));
    }
  }

  void Run(ThreadPool& threads) {
    const int64_t blocks = (rows_ + kRowsOfTile - 1) / kRowsOfTile;
    const int64_t pairs = batches_ * heads_;
    threads.Run(pairs * blocks,
                [&](int64_t task, int) { PrepareRows(task % pairs, task / pairs * kRowsOfTile); });
    threads.Run(pairs * parts_,
                [&](int64_t task, int thread) { RunPart(task / parts_, task % parts_, thread); });
    if (parts_ == 1) return;
    threads.Run(pairs * blocks,
                [&](int64_t task, int) { AddParts(task % pairs, task / pairs * kRowsOfTile); });
  }

 private:
  int64_t Parts(int threads) const {
    const int64_t wanted = std::max<int64_t>(kTasksWanted, threads);
    const int64_t blocks = std::max<int64_t>((keys_ + kKeysOfTile - 1) / kKeysOfTile, 1);
    const int64_t pairs = std::max<int64_t>(batches_ * heads_, 1);
    return std::clamp<int64_t>((wanted + pairs - 1) / pairs, 1, blocks);
  }

  int64_t EndOfBlock(int64_t first) const { return std::min(first + kRowsOfTile, rows_); }

  // rowsum(dO * O) and zeros in dQ.
  void PrepareRows(int64_t pair, int64_t first) const {
    const int64_t batch = pair / heads_;
    const int64_t head = pair % heads_;
    for (int64_t row = first; row < EndOfBlock(first); ++row) {
      means_.template data<T>()[pair * rows_ + row] =
          Dot(dout_.Row(batch, head, row), out_.Row(batch, head, row), dv_width_);
      std::fill_n(dq_.Row(batch, head, row), dh_, T{0});
      for (const Tensor& partial : partial_) {
        std::fill_n(HeadRows<T>(partial).Row(batch, head, row), dh_, T{0});
      }
    }
  }

  void RunPart(int64_t pair, int64_t part, int thread) const {
    const int64_t batch = pair / heads_;
    const int64_t head = pair % heads_;
    const HeadRows<T> dq = part == 0 ? dq_ : HeadRows<T>(partial_[static_cast<size_t>(part - 1)]);
    T* const weights = scratch_.template data<T>() + thread * 2 * kRowsOfTile * kKeysOfTile;
    for (int64_t key = part * kKeysOfTile; key < keys_; key += parts_ * kKeysOfTile) {
      const int64_t keys_end = std::min(key + kKeysOfTile, keys_);
      bool started = false;
      for (int64_t row = mask_.FirstRowOf(key); row < rows_; row += kRowsOfTile) {
        const int64_t rows = std::min(kRowsOfTile, rows_ - row);
        const int64_t keys = std::min(keys_end, mask_.KeysBefore(row + rows - 1)) - key;
        const ScoreTile tile{batch, row, rows, key, keys};
        const Visibility visibility = mask_.Of(tile);
        if (visibility == Visibility::kNothing) continue;
        // The first tile must reach all keys, for it overwrites their gradients.
        if (!started) ClearKeys(batch, head, key, keys_end);
        started = true;
        Weigh(tile, head, visibility, weights);
        AddTile(tile, head, weights, dq);
      }
      if (!started) ClearKeys(batch, head, key, keys_end);
    }
  }

  void ClearKeys(int64_t batch, int64_t head, int64_t first, int64_t end) const {
    for (int64_t key = first; key < end; ++key) {
      std::fill_n(dk_.Row(batch, head, key), dh_, T{0});
      std::fill_n(dv_.Row(batch, head, key), dv_width_, T{0});
    }
  }

  // P and scale dS of a tile.
  void Weigh(const ScoreTile& tile, int64_t head, Visibility visibility, T* weights) const {
    T* const gradients = weights + kRowsOfTile * kKeysOfTile;
    const auto [batch, first, rows, key, keys] = tile;
    SerialGemm({rows, keys, dh_, false, true}, static_cast<T>(a_.scale * std::numbers::log2e),
               q_.Row(batch, head, first), q_.stride(), k_.Row(batch, head, key), k_.stride(), T{0},
               weights, kKeysOfTile);
    SerialGemm({rows, keys, dv_width_, false, true}, T{1}, dout_.Row(batch, head, first),
               dout_.stride(), v_.Row(batch, head, key), v_.stride(), T{0}, gradients, kKeysOfTile);
    if (visibility == Visibility::kSome) mask_.Hide(tile, weights, kKeysOfTile);
    for (int64_t i = 0; i < rows; ++i) {
      T* const row_weights = weights + i * kKeysOfTile;
      T* const row_gradients = gradients + i * kKeysOfTile;
      const int64_t index = (batch * heads_ + head) * rows_ + first + i;
      int64_t visible = std::clamp<int64_t>(mask_.KeysBefore(first + i) - key, 0, keys);
      if (logsumexp_[index] == -std::numeric_limits<T>::infinity()) visible = 0;
      DifferentiateRow(row_weights, row_gradients, visible,
                       {.shift = logsumexp_[index] * std::numbers::log2e_v<T>,
                        .mean = means_.template data<T>()[index],
                        .scale = a_.scale});
      std::fill(row_weights + visible, row_weights + keys, T{0});
      std::fill(row_gradients + visible, row_gradients + keys, T{0});
    }
  }

  void AddTile(const ScoreTile& tile, int64_t head, const T* weights, const HeadRows<T>& dq) const {
    const T* const gradients = weights + kRowsOfTile * kKeysOfTile;
    const auto [batch, row, rows, key, keys] = tile;
    SerialGemm({keys, dv_width_, rows, true, false}, T{1}, weights, kKeysOfTile,
               dout_.Row(batch, head, row), dout_.stride(), T{1}, dv_.Row(batch, head, key),
               dv_.stride());
    SerialGemm({keys, dh_, rows, true, false}, T{1}, gradients, kKeysOfTile,
               q_.Row(batch, head, row), q_.stride(), T{1}, dk_.Row(batch, head, key),
               dk_.stride());
    SerialGemm({rows, dh_, keys}, T{1}, gradients, kKeysOfTile, k_.Row(batch, head, key),
               k_.stride(), T{1}, dq.Row(batch, head, row), dq.stride());
  }

  void AddParts(int64_t pair, int64_t first) const {
    const int64_t batch = pair / heads_;
    const int64_t head = pair % heads_;
    for (const Tensor& partial : partial_) {
      for (int64_t row = first; row < EndOfBlock(first); ++row) {
        const T* const from = HeadRows<T>(partial).Row(batch, head, row);
        T* const to = dq_.Row(batch, head, row);
        for (int64_t j = 0; j < dh_; ++j) to[j] += from[j];
      }
    }
  }

  const AttentionArguments& a_;
  const int64_t batches_;
  const int64_t heads_;
  const int64_t rows_;
  const int64_t keys_;
  const int64_t dh_;
  const int64_t dv_width_;
  const HeadRows<T> q_;
  const HeadRows<T> k_;
  const HeadRows<T> v_;
  const HeadRows<T> out_;
  const HeadRows<T> dout_;
  const HeadRows<T> dq_;
  const HeadRows<T> dk_;
  const HeadRows<T> dv_;
  const T* const logsumexp_;
  const AttentionMask mask_;
  const int64_t parts_;
  const Tensor means_;  // rowsum(dO * O)
  const Tensor scratch_;
  std::vector<Tensor> partial_;  // dQ of the parts but the first
};

}  // namespace

void AttendBackward(CpuDevice& device, const AttentionArguments& forward,
                    const AttentionGradients& gradients) {
  DispatchFloating(forward.q.dtype(), "attention", [&]<typename T>() {
    Backward<T>(forward, gradients, device.threads().threads()).Run(device.threads());
  });
}

}  // namespace trainyard::cpu_attention
