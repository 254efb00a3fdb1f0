#include "core/algorithms/convex_relu/cpu_pattern_operator.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "core/base/stopwatch.h"

namespace trainyard::convex_relu {
namespace {

// Words whose sums a task keeps at a time, as many tiles: 384 KB, which stay in the second level
// cache beside the codes.
constexpr int64_t kMaxBlock = 6144;
// Below this many words a round's tables cost more than they save.
constexpr int64_t kWideFrom = 160;
// Rounds of 64 rows after which the adjoint's sums are added to the totals, so that rounding errors
// do not grow with the number of rows.
constexpr int64_t kRoundsOfTotal = 64;
// Rows of the last round after which the forward product takes its dots: what the first level cache
// holds beside the tables.
constexpr int64_t kRowsOfDots = 128;
// Results that a product keeps for all groups of tiles of an output.
constexpr int64_t kPartialSize = 65536;
// Words to look up, over all tiles, from which other threads are woken: some forty microseconds of
// work.
constexpr int64_t kSharedFrom = 16384;
// What the tables of one round cost, in words to look up.
constexpr int64_t kWordsOfTables = 100;

TableSplit SplitFor(int64_t words) {
  return words < kWideFrom ? TableSplit::kNarrow : TableSplit::kWide;
}

int64_t DivideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Blocks to divide `size` into, of at most kMaxBlock and, where there are fewer tasks than threads
// could share evenly, fewer, but not below `least`.
int64_t BlockCount(int64_t size, int64_t least, int64_t tasks_without, int64_t threads) {
  const int64_t wanted = threads == 1 ? 1 : DivideUp(4 * threads, tasks_without);
  return std::max(DivideUp(size, kMaxBlock), std::min(wanted, size / least));
}

// Consecutive tiles whose results are added up in one place before the groups' are added up in
// order. The groups depend on the shape of the product alone.
template <typename Real>
class TileGroups {
 public:
  TileGroups(const LaneTiles<Real>& tiles, int64_t groups) : tiles_(tiles), groups_(groups) {
    for (int64_t g = 0; g < groups; ++g) {
      first_row_.push_back(static_cast<int64_t>(outputs_.size()));
      const int64_t last = tiles.last_output(end(g) - 1);
      for (int64_t o = tiles.first_output(begin(g)); o <= last; ++o) outputs_.push_back(o);
    }
    first_row_.push_back(static_cast<int64_t>(outputs_.size()));
  }

  int64_t count() const { return groups_; }
  int64_t begin(int64_t group) const { return group * tiles_.count() / groups_; }
  int64_t end(int64_t group) const { return begin(group + 1); }

  // A group has rows [first_row(group), first_row(group + 1)) of results, one for each of its
  // outputs.
  int64_t first_row(int64_t group) const { return first_row_[static_cast<size_t>(group)]; }
  int64_t rows() const { return first_row_.back(); }
  int64_t output(int64_t row) const { return outputs_[static_cast<size_t>(row)]; }
  // The row of a tile's first output.
  int64_t row(int64_t group, int64_t tile) const {
    return first_row(group) + tiles_.first_output(tile) - output(first_row(group));
  }

 private:
  const LaneTiles<Real>& tiles_;
  int64_t groups_;
  std::vector<int64_t> first_row_;
  std::vector<int64_t> outputs_;  // by row
};

template <typename Real>
int64_t GroupCount(const LaneTiles<Real>& tiles, int64_t size) {
  return std::clamp<int64_t>(kPartialSize / size, 1, tiles.count());
}

// Room for `size` numbers at least.
template <typename Real>
Real* Reserve(AlignedArray<Real>& array, int64_t size) {
  if (array.size() < size) array = AlignedArray<Real>(size);
  return array.data();
}

}  // namespace

template <typename Real>
struct CpuPatternOperator<Real>::ForwardCall {
  LaneTiles<Real> tiles;
  TileGroups<Real> groups;
  const Real* weights;
  const int64_t* support;  // null: all patterns
  int64_t support_size;
  const uint64_t* row_codes;  // [block of the support][row]
  int64_t row_stride;         // rows of a block of codes and of the partial results
  TableSplit split;
  double* partial;  // [row of the groups][row]
};

template <typename Real>
struct CpuPatternOperator<Real>::AdjointCall {
  LaneTiles<Real> tiles;
  TileGroups<Real> groups;
  const Real* residuals;
  TableSplit split;
  Real* gradient;     // or, where it is null,
  double* squares;    // [row of the groups][pattern]
  int64_t parts;      // of the rows, each with totals of its own
  Real* part_totals;  // [tile][part][pattern][lane], with more than one part
};

template <typename Real>
class CpuPatternOperator<Real>::Timing {
 public:
  Timing(Shared& shared, double operations) : shared_(shared) {
    shared_.work.operations += operations;
  }
  ~Timing() { shared_.work.seconds += watch_.Seconds(); }
  Timing(const Timing&) = delete;
  Timing& operator=(const Timing&) = delete;

 private:
  Shared& shared_;
  const Stopwatch watch_;
};

template <typename Real>
CpuPatternOperator<Real>::CpuPatternOperator(const PaddedMatrix<Real>& data, BitMatrix patterns,
                                             ThreadPool& pool, InstructionSet set)
    : CpuPatternOperator(std::make_shared<const DataPanels<Real>>(data), std::move(patterns), pool,
                         set, std::make_shared<Shared>(pool.threads())) {}

template <typename Real>
CpuPatternOperator<Real>::CpuPatternOperator(std::shared_ptr<const DataPanels<Real>> data,
                                             BitMatrix bits, ThreadPool& pool, InstructionSet set,
                                             std::shared_ptr<Shared> shared)
    : data_(std::move(data)),
      bits_(std::move(bits)),
      pool_(pool),
      set_(set),
      functions_(SubsetSums<Real>(set)),
      shared_(std::move(shared)) {
  for (Scratch& each : shared_->scratch) {
    Reserve(each.vectors, 64 * kTileLanes<Real>);
    Reserve(each.tables, kMaxTableEntries * kTileLanes<Real>);
  }
}

template <typename Real>
std::unique_ptr<PatternOperator<Real>> CpuPatternOperator<Real>::Select(
    std::span<const int64_t> patterns) const {
  return std::unique_ptr<PatternOperator<Real>>(
      new CpuPatternOperator(data_, bits_.Select(patterns, pool_), pool_, set_, shared_));
}

template <typename Real>
void CpuPatternOperator<Real>::ReserveScratch(int64_t words, bool totals) const {
  for (Scratch& each : shared_->scratch) {
    Reserve(each.sums, words * kTileLanes<Real>);
    if (totals) Reserve(each.totals, words * kTileLanes<Real>);
  }
}

template <typename Real>
void CpuPatternOperator<Real>::Share(int64_t count, int64_t words,
                                     const std::function<void(int64_t, int)>& task) const {
  if (words >= kSharedFrom) return pool_.Run(count, task);
  for (int64_t i = 0; i < count; ++i) task(i, 0);
}

template <typename Real>
std::vector<int64_t> CpuPatternOperator<Real>::NonZeroPatterns(int outputs,
                                                               const Real* weights) const {
  const int64_t p = patterns();
  const int panels = data_->panels();
  std::vector<char> used(static_cast<size_t>(p));
  const int64_t task_size = std::max<int64_t>(65536 / (int64_t{outputs} * stride()), 1);
  pool_.Run(DivideUp(p, task_size), [&](int64_t task, int) {
    for (int64_t i = task * task_size; i < std::min((task + 1) * task_size, p); ++i) {
      bool any = false;
      for (int64_t o = 0; o < outputs && !any; ++o) {
        const Real* const block = weights + (o * p + i) * stride();
        for (int panel = 0; panel < panels && !any; ++panel) {
          for (int k = 0; k < kPanelColumns; ++k) any |= block[panel * kPanelColumns + k] != 0;
        }
      }
      used[static_cast<size_t>(i)] = any ? 1 : 0;
    }
  });
  std::vector<int64_t> found;
  for (int64_t i = 0; i < p; ++i) {
    if (used[static_cast<size_t>(i)] != 0) found.push_back(i);
  }
  return found;
}

template <typename Real>
void CpuPatternOperator<Real>::Forward(int outputs, const Real* weights, Real* predictions) {
  const int64_t n = rows();
  std::vector<int64_t> support = NonZeroPatterns(outputs, weights);
  const Timing timing(*shared_, OperationsOf(outputs, static_cast<int64_t>(support.size())));
  const bool all = 2 * static_cast<int64_t>(support.size()) > patterns();
  if (!all && support != support_.patterns) {
    support_.row_codes = bits_.SelectRowCodes(support, pool_);
    support_.patterns = std::move(support);
  }
  const LaneTiles<Real> tiles(*data_, outputs);
  ForwardCall call = {tiles,
                      TileGroups<Real>(tiles, GroupCount(tiles, n)),
                      weights,
                      all ? nullptr : support_.patterns.data(),
                      all ? patterns() : static_cast<int64_t>(support_.patterns.size()),
                      all ? bits_.RowCodes(0) : support_.row_codes.data(),
                      bits_.row_blocks() * 64,
                      SplitFor(n),
                      nullptr};
  call.partial = Reserve(shared_->partial, call.groups.rows() * call.row_stride);

  const int64_t groups = call.groups.count();
  const int64_t blocks = BlockCount(n, 512, groups, pool_.threads());
  // In multiples of eight, for the dots.
  const int64_t block_rows = DivideUp(DivideUp(n, blocks), 8) * 8;
  ReserveScratch(block_rows, false);
  const int64_t words = tiles.count() * BitBlocks(call.support_size) * (n + kWordsOfTables);
  Share(groups * DivideUp(n, block_rows), words, [&](int64_t index, int thread) {
    const int64_t begin = index / groups * block_rows;
    const int64_t end = std::min(begin + block_rows, call.row_stride);
    RunForwardTask(call, index % groups, begin, end, shared_->scratch[static_cast<size_t>(thread)]);
  });
  AddPartials(call, predictions);
}

template <typename Real>
void CpuPatternOperator<Real>::AddPartials(const ForwardCall& call, Real* predictions) const {
  constexpr int64_t kRowsOfTask = 2048;
  const int64_t n = rows();
  pool_.Run(DivideUp(n, kRowsOfTask), [&](int64_t task, int) {
    const int64_t begin = task * kRowsOfTask;
    const int64_t size = std::min(kRowsOfTask, n - begin);
    double sums[kRowsOfTask];
    for (int64_t r = 0; r < call.groups.rows(); ++r) {
      const double* const from = call.partial + r * call.row_stride + begin;
      const bool first = r == 0 || call.groups.output(r) != call.groups.output(r - 1);
      for (int64_t i = 0; i < size; ++i) sums[i] = (first ? 0 : sums[i]) + from[i];
      Real* const to = predictions + call.groups.output(r) * n + begin;
      for (int64_t i = 0; i < size; ++i) to[i] = static_cast<Real>(sums[i]);
    }
  });
}

template <typename Real>
void CpuPatternOperator<Real>::RunForwardTask(const ForwardCall& call, int64_t group, int64_t begin,
                                              int64_t end, Scratch& scratch) const {
  constexpr int kLanes = kTileLanes<Real>;
  Real* const sums = scratch.sums.data();
  const int64_t rounds = BitBlocks(call.support_size);
  for (int64_t r = call.groups.first_row(group); r < call.groups.first_row(group + 1); ++r) {
    std::fill_n(call.partial + r * call.row_stride + begin, end - begin, 0.0);
  }
  for (int64_t tile = call.groups.begin(group); tile < call.groups.end(group); ++tile) {
    double* const dots = call.partial + call.groups.row(group, tile) * call.row_stride;
    for (int64_t round = 0; round < rounds; ++round) {
      if (Stopped()) return;
      const int count = static_cast<int>(std::min<int64_t>(64, call.support_size - 64 * round));
      call.tiles.StageWeights(tile, call.weights, patterns(), call.support, 64 * round, count,
                              scratch.vectors.data());
      functions_.build(call.split, scratch.vectors.data(), count, scratch.tables.data());
      const uint64_t* const codes = call.row_codes + round * call.row_stride;
      const bool last = round + 1 == rounds;
      const int64_t step = last ? kRowsOfDots : end - begin;
      for (int64_t at = begin; at < end; at += step) {
        const int64_t size = std::min(step, end - at);
        Real* const own_sums = sums + (at - begin) * kLanes;
        functions_.add(call.split, scratch.tables.data(), count, codes + at, size, round == 0,
                       own_sums);
        if (last) call.tiles.AddDots(tile, own_sums, at, size, dots + at, call.row_stride);
      }
    }
  }
}

template <typename Real>
void CpuPatternOperator<Real>::Adjoint(int outputs, const Real* residuals, Real* gradient) {
  if (patterns() == 0) return;
  const Timing timing(*shared_, OperationsOf(outputs, patterns()));
  const LaneTiles<Real> tiles(*data_, outputs);
  AdjointCall call = {tiles,     TileGroups<Real>(tiles, tiles.count()),
                      residuals, SplitFor(patterns()),
                      gradient,  nullptr,
                      1,         nullptr};
  RunAdjoint(call);
}

template <typename Real>
void CpuPatternOperator<Real>::AdjointNorms(int outputs, const Real* residuals, double* norms) {
  const int64_t p = patterns();
  if (p == 0) return;
  const Timing timing(*shared_, OperationsOf(outputs, p));
  const LaneTiles<Real> tiles(*data_, outputs);
  AdjointCall call = {tiles,     TileGroups<Real>(tiles, GroupCount(tiles, p)),
                      residuals, SplitFor(p),
                      nullptr,   nullptr,
                      1,         nullptr};
  call.squares = Reserve(shared_->partial, call.groups.rows() * p);
  std::fill_n(call.squares, call.groups.rows() * p, 0.0);
  RunAdjoint(call);
  std::fill_n(norms, outputs * p, 0.0);
  for (int64_t r = 0; r < call.groups.rows(); ++r) {
    double* const to = norms + call.groups.output(r) * p;
    for (int64_t i = 0; i < p; ++i) to[i] += call.squares[r * p + i];
  }
  for (int64_t i = 0; i < outputs * p; ++i) norms[i] = std::sqrt(norms[i]);
}

template <typename Real>
void CpuPatternOperator<Real>::RunAdjoint(AdjointCall& call) {
  const int64_t p = patterns();
  const int64_t groups = call.groups.count();
  // A product of few columns and patterns is shared out by rows too.
  if (groups * DivideUp(p, kMaxBlock) < 8) {
    call.parts = std::clamp<int64_t>(bits_.row_blocks() / kRoundsOfTotal, 1, 16);
  }
  AlignedArray<Real> part_totals(
      call.parts == 1 ? 0 : call.tiles.count() * call.parts * p * kTileLanes<Real>);
  call.part_totals = part_totals.data();
  const int64_t blocks = BlockCount(p, 256, groups * call.parts, pool_.threads());
  const int64_t block_size = DivideUp(p, blocks);
  const int64_t tasks = groups * call.parts;
  ReserveScratch(block_size, call.parts == 1);
  const int64_t words = call.tiles.count() * bits_.row_blocks() * (p + kWordsOfTables);
  Share(tasks * DivideUp(p, block_size), words, [&](int64_t index, int thread) {
    const int64_t begin = index / tasks * block_size;
    RunAdjointTask(call, index % tasks / call.parts, index % tasks % call.parts, begin,
                   std::min(begin + block_size, p), shared_->scratch[static_cast<size_t>(thread)]);
  });
  if (call.parts == 1) return;
  Share(groups, words, [&](int64_t group, int) {
    const int64_t size = p * kTileLanes<Real>;
    for (int64_t tile = call.groups.begin(group); tile < call.groups.end(group); ++tile) {
      Real* const totals = call.part_totals + tile * call.parts * size;
      for (int64_t part = 1; part < call.parts; ++part) {
        for (int64_t i = 0; i < size; ++i) totals[i] += totals[part * size + i];
      }
      Deliver(call, group, tile, 0, p, totals);
    }
  });
}

template <typename Real>
void CpuPatternOperator<Real>::RunAdjointTask(const AdjointCall& call, int64_t group, int64_t part,
                                              int64_t begin, int64_t end, Scratch& scratch) const {
  for (int64_t tile = call.groups.begin(group); tile < call.groups.end(group); ++tile) {
    if (call.parts > 1) {
      const int64_t at = (tile * call.parts + part) * patterns() + begin;
      SumTile(call, tile, part, begin, end, scratch, call.part_totals + at * kTileLanes<Real>);
    } else {
      Real* const totals = scratch.totals.data();
      SumTile(call, tile, part, begin, end, scratch, totals);
      Deliver(call, group, tile, begin, end, totals);
    }
  }
}

// totals = the tile's sums over a part of the rows for patterns [begin, end).
template <typename Real>
void CpuPatternOperator<Real>::SumTile(const AdjointCall& call, int64_t tile, int64_t part,
                                       int64_t begin, int64_t end, Scratch& scratch,
                                       Real* totals) const {
  const int64_t size = (end - begin) * kTileLanes<Real>;
  const int64_t first = part * bits_.row_blocks() / call.parts;
  const int64_t last = (part + 1) * bits_.row_blocks() / call.parts - 1;
  Real* const sums = scratch.sums.data();
  for (int64_t round = first; round <= last; ++round) {
    if (Stopped()) return;
    const int count = static_cast<int>(std::min<int64_t>(64, rows() - 64 * round));
    call.tiles.StageRows(tile, call.residuals, 64 * round, count, scratch.vectors.data());
    functions_.build(call.split, scratch.vectors.data(), count, scratch.tables.data());
    const int64_t done = (round - first) % kRoundsOfTotal;
    functions_.add(call.split, scratch.tables.data(), count, bits_.PatternCodes(round) + begin,
                   end - begin, done == 0, sums);
    if (round != last && done + 1 != kRoundsOfTotal) continue;
    if (round - first < kRoundsOfTotal) {
      std::copy(sums, sums + size, totals);
    } else {
      for (int64_t i = 0; i < size; ++i) totals[i] += sums[i];
    }
  }
}

template <typename Real>
void CpuPatternOperator<Real>::Deliver(const AdjointCall& call, int64_t group, int64_t tile,
                                       int64_t begin, int64_t end, const Real* totals) const {
  const int64_t p = patterns();
  if (call.gradient != nullptr) {
    call.tiles.StoreGradient(tile, totals, begin, end - begin, p, call.gradient);
    return;
  }
  call.tiles.AddSquares(tile, totals, end - begin,
                        call.squares + call.groups.row(group, tile) * p + begin, p);
}

template class CpuPatternOperator<float>;
template class CpuPatternOperator<double>;

}  // namespace trainyard::convex_relu
