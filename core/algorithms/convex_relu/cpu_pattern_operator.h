// The products of a gated layer on the CPU.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/algorithms/convex_relu/bit_matrix.h"
#include "core/algorithms/convex_relu/lane_tiles.h"
#include "core/algorithms/convex_relu/padded_matrix.h"
#include "core/algorithms/convex_relu/pattern_operator.h"
#include "core/algorithms/convex_relu/subset_sums.h"
#include "core/base/thread_pool.h"

namespace trainyard::convex_relu {

// Both products are sums over the set bits of a word of codes, for which subset_sums.h needs about
// a twelfth of the operations of a matrix product. Memory: the bits (n P / 4 bytes), a copy of the
// data, which selections share, and n or P numbers for each output and a few tiles.
template <typename Real>
class CpuPatternOperator final : public PatternOperator<Real> {
 public:
  // `data` is copied; `patterns` has as many rows, both at least one. `pool` must outlive the
  // operator.
  CpuPatternOperator(const PaddedMatrix<Real>& data, BitMatrix patterns, ThreadPool& pool,
                     InstructionSet set = FastestInstructionSet());

  int64_t rows() const override { return bits_.rows(); }
  int features() const override { return data_->features(); }
  int stride() const override { return data_->stride(); }
  int64_t patterns() const override { return bits_.patterns(); }
  const BitMatrix& bits() const { return bits_; }

  void Forward(int outputs, const Real* weights, Real* predictions) override;
  void Adjoint(int outputs, const Real* residuals, Real* gradient) override;
  void AdjointNorms(int outputs, const Real* residuals, double* norms) override;
  void StopWhen(std::function<bool()> stopped) override { shared_->stopped = std::move(stopped); }
  ProductWork work() const override { return shared_->work; }
  std::unique_ptr<PatternOperator<Real>> Select(std::span<const int64_t> patterns) const override;

 private:
  // What a thread works with: its tables, the vectors they are made of, and running sums.
  struct Scratch {
    AlignedArray<Real> vectors;
    AlignedArray<Real> tables;
    AlignedArray<Real> sums;
    AlignedArray<Real> totals;
  };
  // Row codes of the patterns that some weights of the last Forward were not zero for.
  struct Support {
    std::vector<int64_t> patterns;
    AlignedArray<uint64_t> row_codes;
  };
  // What an operator has in common with its selections.
  struct Shared {
    explicit Shared(int threads) : scratch(static_cast<size_t>(threads)) {}

    std::vector<Scratch> scratch;   // by thread
    AlignedArray<double> partial;   // what the groups of tiles add up to
    std::function<bool()> stopped;  // empty: never
    ProductWork work;
  };
  // Adds the time of a product to the work.
  class Timing;
  struct ForwardCall;
  struct AdjointCall;

  CpuPatternOperator(std::shared_ptr<const DataPanels<Real>> data, BitMatrix bits, ThreadPool& pool,
                     InstructionSet set, std::shared_ptr<Shared> shared);

  // Memory for the sums of blocks of words, before threads that must not run out of it.
  void ReserveScratch(int64_t words, bool totals) const;
  // Runs tasks, on this thread alone where they look up few words in all.
  void Share(int64_t count, int64_t words, const std::function<void(int64_t, int)>& task) const;
  double OperationsOf(int outputs, int64_t patterns) const {
    return 2.0 * static_cast<double>(rows()) * static_cast<double>(patterns) * features() * outputs;
  }
  bool Stopped() const { return shared_->stopped && shared_->stopped(); }
  std::vector<int64_t> NonZeroPatterns(int outputs, const Real* weights) const;
  // The tile sums of one group of tiles for rows [begin, end), dotted with the rows.
  void RunForwardTask(const ForwardCall& call, int64_t group, int64_t begin, int64_t end,
                      Scratch& scratch) const;
  void AddPartials(const ForwardCall& call, Real* predictions) const;
  void RunAdjoint(AdjointCall& call);
  void RunAdjointTask(const AdjointCall& call, int64_t group, int64_t part, int64_t begin,
                      int64_t end, Scratch& scratch) const;
  void SumTile(const AdjointCall& call, int64_t tile, int64_t part, int64_t begin, int64_t end,
               Scratch& scratch, Real* totals) const;
  void Deliver(const AdjointCall& call, int64_t group, int64_t tile, int64_t begin, int64_t end,
               const Real* totals) const;

  std::shared_ptr<const DataPanels<Real>> data_;
  BitMatrix bits_;
  ThreadPool& pool_;
  InstructionSet set_;
  const SubsetSumFunctions<Real>& functions_;
  std::shared_ptr<Shared> shared_;
  Support support_;
};

}  // namespace trainyard::convex_relu
