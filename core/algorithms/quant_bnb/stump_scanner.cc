#include "core/algorithms/quant_bnb/stump_scanner.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

namespace trainyard::quant_bnb {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Sums of T stay below this.
double Capacity(ScanType type) {
  switch (type) {
    case ScanType::kInt16:
      return 32767;
    case ScanType::kInt32:
      return 2147483647;
    case ScanType::kDouble:
      break;
  }
  return kInfinity;
}

// What a row adds to each lane, by its code: Scan::table.
enum class Table { kSigned, kOnes, kMasks };

template <typename T, Table table>
const void* MakeTable() {
  constexpr int kCodes = table == Table::kSigned ? 2 * (kLanes + 1) : kLanes + 1;
  struct alignas(64) Entries {
    T values[kCodes][2][kLanes];
  };
  static const Entries entries = [] {
    Entries made;
    T all_bits;
    std::memset(&all_bits, 0xff, sizeof all_bits);
    for (int code = 0; code < kCodes; ++code) {
      const int passed = table == Table::kSigned ? code / 2 : code;
      T value = table == Table::kMasks ? all_bits : T{1};
      if (table == Table::kSigned && code % 2 == 1) value = static_cast<T>(-1);
      for (int lane = 0; lane < kLanes; ++lane) {
        const bool left = lane >= passed;
        std::memset(&made.values[code][0][lane], 0, sizeof(T));
        std::memset(&made.values[code][1][lane], 0, sizeof(T));
        std::memcpy(&made.values[code][left ? 0 : 1][lane], &value, sizeof(T));
      }
    }
    return made;
  }();
  return &entries;
}

template <Table table>
const void* TableOf(ScanType type) {
  switch (type) {
    case ScanType::kInt16:
      return MakeTable<int16_t, table>();
    case ScanType::kInt32:
      return MakeTable<int32_t, table>();
    case ScanType::kDouble:
      break;
  }
  return MakeTable<double, table>();
}

}  // namespace

void* AlignedBytes::Room(size_t size) {
  const size_t blocks = (size + sizeof(Block) - 1) / sizeof(Block);
  if (blocks > blocks_.size()) blocks_ = std::vector<Block>(blocks + blocks / 2);
  return blocks_.data();
}

void StumpScanner::Assign(const SearchNode& node) {
  node_ = &node;
  counted_ = node.problem().min_samples_leaf() > 1;
  ChooseKind();
  ChooseType();
  max_groups_ = counted_ || kind_ == Kind::kCosts || kind_ == Kind::kRegression ? 1 : kMaxGroups;
  CopyRows();
}

void StumpScanner::ChooseKind() {
  const SearchProblem& problem = node_->problem();
  if (!problem.classification()) {
    kind_ = Kind::kRegression;
    return;
  }
  NumberClasses();
  if (classes_ <= 2) {
    kind_ = Kind::kBinary;
  } else {
    kind_ = problem.costs().empty() ? Kind::kClasses : Kind::kCosts;
  }
}

// Classes that the node lacks are left out where that changes nothing: without costs.
void StumpScanner::NumberClasses() {
  const SearchProblem& problem = node_->problem();
  std::vector<uint16_t> number(static_cast<size_t>(problem.outputs()));
  classes_ = 0;
  for (size_t c = 0; c < number.size(); ++c) {
    if (problem.costs().empty() && node_->class_weights()[c] == 0) continue;
    number[c] = static_cast<uint16_t>(classes_++);
  }
  class_of_.resize(node_->rows().size());
  for (size_t i = 0; i < class_of_.size(); ++i) {
    class_of_[i] = number[static_cast<size_t>(problem.classes()[node_->rows()[i]])];
  }
}

void StumpScanner::ChooseType() {
  const SearchProblem& problem = node_->problem();
  const bool whole = problem.classification() && problem.costs().empty() &&
                     std::all_of(problem.weights().begin(), problem.weights().end(),
                                 [](double weight) { return weight == std::floor(weight); });
  const double greatest = std::max(node_->weight(), static_cast<double>(node_->sample_count()));
  type_ = ScanType::kDouble;
  if (whole && greatest <= Capacity(ScanType::kInt32)) type_ = ScanType::kInt32;
  if (whole && greatest <= Capacity(ScanType::kInt16)) type_ = ScanType::kInt16;
  weighted_ = counted_ || !problem.unit_weights() || type_ == ScanType::kDouble;
}

void StumpScanner::CopyRows() {
  if (kind_ == Kind::kRegression) {
    CopyTargets();
    return;
  }
  switch (type_) {
    case ScanType::kInt16:
      CopyWeights<int16_t>();
      break;
    case ScanType::kInt32:
      CopyWeights<int32_t>();
      break;
    case ScanType::kDouble:
      CopyWeights<double>();
      break;
  }
}

template <typename T>
void StumpScanner::CopyWeights() {
  const SearchProblem& problem = node_->problem();
  const std::span<const uint32_t> rows = node_->rows();
  if (weighted_) {
    T* const weights = static_cast<T*>(weights_.Room(rows.size() * sizeof(T)));
    for (size_t i = 0; i < rows.size(); ++i) {
      double weight = problem.weights()[rows[i]];
      if (kind_ == Kind::kBinary) {
        // With two classes and costs a row weighs what it costs to miss it.
        const size_t c = class_of_[i];
        if (!problem.costs().empty()) weight *= problem.costs()[c * 2 + (1 - c)];
        if (c == 1) weight = -weight;
      }
      weights[i] = static_cast<T>(weight);
    }
  }
  if (!counted_) return;
  T* const counts = static_cast<T*>(counts_.Room(rows.size() * sizeof(T)));
  for (size_t i = 0; i < rows.size(); ++i) counts[i] = static_cast<T>(problem.counts()[rows[i]]);
}

// Targets are scaled to a standard deviation of 1 and weights to a mean of 1 so that products of
// sums can neither overflow nor vanish.
void StumpScanner::CopyTargets() {
  const SearchProblem& problem = node_->problem();
  const std::span<const uint32_t> rows = node_->rows();
  const size_t outputs = static_cast<size_t>(problem.outputs());
  type_ = ScanType::kDouble;
  weight_scale_ = static_cast<double>(rows.size()) / node_->weight();
  const double variance = node_->leaf_loss() / node_->weight();
  value_scale_ = variance > 0 ? 1 / std::sqrt(variance) : 1;
  double* const sums = static_cast<double*>(sums_.Room(rows.size() * outputs * sizeof(double)));
  double* const weights = static_cast<double*>(weights_.Room(rows.size() * sizeof(double)));
  for (size_t i = 0; i < rows.size(); ++i) {
    weights[i] = problem.weights()[rows[i]] * weight_scale_;
    for (size_t o = 0; o < outputs; ++o) {
      sums[i * outputs + o] =
          problem.sums()[rows[i] * outputs + o] * (value_scale_ * weight_scale_);
    }
  }
  if (!counted_) return;
  double* const counts = static_cast<double*>(counts_.Room(rows.size() * sizeof(double)));
  for (size_t i = 0; i < rows.size(); ++i) {
    counts[i] = static_cast<double>(problem.counts()[rows[i]]);
  }
}

void StumpScanner::Prepare(std::span<const ThresholdGroup> groups) {
  groups_ = static_cast<int>(groups.size());
  codes_.resize(node_->rows().size() * groups.size());
  const size_t outputs = kind_ == Kind::kRegression || kind_ == Kind::kCosts
                             ? static_cast<size_t>(node_->problem().outputs())
                             : static_cast<size_t>(classes_);
  const size_t lanes = static_cast<size_t>(groups_) * 2 * kLanes;
  const size_t size = lanes * (2 * outputs + 4);
  double* next = static_cast<double*>(totals_.Room(size * sizeof(double)));
  std::fill(next, next + size, 0.0);
  for (double** part : {&sum_totals_, &scaled_sum_totals_}) {
    *part = next;
    next += lanes * outputs;
  }
  for (double** part :
       {&weight_totals_, &scaled_weight_totals_, &square_totals_, &sample_totals_}) {
    *part = next;
    next += lanes;
  }
  for (int g = 0; g < groups_; ++g) {
    lanes_[g] = static_cast<int>(groups[static_cast<size_t>(g)].places.size());
    AssignCodes(groups[static_cast<size_t>(g)], g);
    AddUp(groups[static_cast<size_t>(g)], g);
  }
  if (!counted_) return;
  switch (type_) {
    case ScanType::kInt16:
      StoreCountTotals<int16_t>();
      break;
    case ScanType::kInt32:
      StoreCountTotals<int32_t>();
      break;
    case ScanType::kDouble:
      StoreCountTotals<double>();
      break;
  }
}

void StumpScanner::AssignCodes(const ThresholdGroup& group, int g) {
  const std::span<const uint32_t> order = node_->order(group.feature);
  const bool with_class = kind_ == Kind::kBinary && !weighted_;
  const size_t groups = static_cast<size_t>(groups_);
  const size_t offset = static_cast<size_t>(g);
  size_t place = 0;
  for (size_t passed = 0; passed <= group.places.size(); ++passed) {
    const size_t end =
        passed < group.places.size() ? static_cast<size_t>(group.places[passed]) + 1 : order.size();
    for (; place < end; ++place) {
      const size_t row = order[place] & kRowMask;
      codes_[row * groups + offset] =
          static_cast<uint8_t>(with_class ? 2 * passed + class_of_[row] : passed);
    }
  }
}

// Sums of each side of each threshold.
void StumpScanner::AddUp(const ThresholdGroup& group, int g) {
  const SearchProblem& problem = node_->problem();
  const std::span<const uint32_t> order = node_->order(group.feature);
  const size_t outputs = static_cast<size_t>(problem.outputs());
  const size_t own_outputs =
      kind_ == Kind::kRegression || kind_ == Kind::kCosts ? outputs : static_cast<size_t>(classes_);
  std::vector<double> sums(own_outputs, 0.0);
  double weight = 0;
  double squares = 0;
  double samples = 0;
  const auto store = [&](int side, size_t lane, double sign) {
    const size_t block = static_cast<size_t>(g * 2 + side);
    for (size_t o = 0; o < own_outputs; ++o) {
      sum_totals_[(block * own_outputs + o) * kLanes + lane] += sign * sums[o];
    }
    weight_totals_[block * kLanes + lane] += sign * weight;
    square_totals_[block * kLanes + lane] += sign * squares;
    sample_totals_[block * kLanes + lane] += sign * samples;
  };
  size_t lane = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    const size_t local = order[i] & kRowMask;
    const uint32_t row = node_->rows()[local];
    weight += problem.weights()[row];
    samples += static_cast<double>(problem.counts()[row]);
    if (kind_ == Kind::kRegression) {
      for (size_t o = 0; o < outputs; ++o) {
        sums[o] += problem.sums()[row * outputs + o];
        squares += problem.squares()[row * outputs + o];
      }
    } else if (problem.costs().empty()) {
      sums[class_of_[local]] += problem.weights()[row];
    } else {
      const size_t first = static_cast<size_t>(problem.classes()[row]) * outputs;
      for (size_t p = 0; p < outputs; ++p) {
        sums[p] += problem.weights()[row] * problem.costs()[first + p];
      }
    }
    for (; lane < group.places.size() && static_cast<size_t>(group.places[lane]) == i; ++lane) {
      store(0, lane, 1);
      store(1, lane, -1);
    }
  }
  for (size_t l = 0; l < group.places.size(); ++l) store(1, l, 1);
  const size_t first = static_cast<size_t>(g * 2) * kLanes;
  for (size_t i = first; i < first + 2 * kLanes; ++i) {
    scaled_weight_totals_[i] = weight_totals_[i] * weight_scale_;
  }
  for (size_t i = first * own_outputs; i < (first + 2 * kLanes) * own_outputs; ++i) {
    scaled_sum_totals_[i] = sum_totals_[i] * (value_scale_ * weight_scale_);
  }
}

template <typename T>
void StumpScanner::StoreCountTotals() {
  const size_t size = static_cast<size_t>(groups_) * 2 * kLanes;
  T* const totals = static_cast<T*>(count_totals_.Room(size * sizeof(T)));
  for (size_t i = 0; i < size; ++i) totals[i] = static_cast<T>(sample_totals_[i]);
}

double StumpScanner::LeafLoss(int g, int side, int lane) const {
  const size_t block = static_cast<size_t>(g * 2 + side);
  const size_t at = block * kLanes + static_cast<size_t>(lane);
  const SearchProblem& problem = node_->problem();
  const bool by_class = problem.classification() && problem.costs().empty();
  const size_t outputs =
      by_class ? static_cast<size_t>(classes_) : static_cast<size_t>(problem.outputs());
  double greatest = -kInfinity;
  double least = kInfinity;
  double squares = 0;
  for (size_t o = 0; o < outputs; ++o) {
    const double sum = sum_totals_[(block * outputs + o) * kLanes + static_cast<size_t>(lane)];
    greatest = std::max(greatest, sum);
    least = std::min(least, sum);
    squares += sum * sum;
  }
  if (by_class) return weight_totals_[at] - greatest;
  if (problem.classification()) return least;
  return std::max(square_totals_[at] - squares / weight_totals_[at], 0.0);
}

void StumpScanner::LeafLosses(int g, SideLosses& losses) const {
  const double least = static_cast<double>(node_->problem().min_samples_leaf());
  for (int side = 0; side < 2; ++side) {
    for (int lane = 0; lane < lanes_[g]; ++lane) {
      const double samples = sample_totals_[(g * 2 + side) * kLanes + lane];
      losses.relaxed[side][lane] = LeafLoss(g, side, lane);
      losses.constrained[side][lane] = samples < least ? kInfinity : losses.relaxed[side][lane];
    }
  }
}

double StumpScanner::SplitLoss(const double* best, int g, int side, int constrained,
                               int lane) const {
  const double first = best[BestIndex(g, side, constrained, 0) + lane];
  const double second = best[BestIndex(g, side, constrained, 1) + lane];
  const size_t block = static_cast<size_t>(g * 2 + side);
  const size_t at = block * kLanes + static_cast<size_t>(lane);
  switch (kind_) {
    case Kind::kBinary: {
      // Weight of class 0 and 1, or what it costs to miss them all.
      const bool costs = !node_->problem().costs().empty();
      const size_t outputs = costs ? 2 : static_cast<size_t>(classes_);
      const auto sum = [&](size_t o) {
        return o < outputs ? sum_totals_[(block * outputs + o) * kLanes + static_cast<size_t>(lane)]
                           : 0.0;
      };
      // The cost of predicting class 1 is that of missing class 0.
      const double zeros = sum(costs ? 1 : 0);
      const double ones = sum(costs ? 0 : 1);
      return std::min(zeros - first, ones + second);
    }
    case Kind::kClasses:
      return weight_totals_[at] - first;
    case Kind::kCosts:
      return first;
    case Kind::kRegression:
      break;
  }
  if (constrained == 1 && first < 0) return kInfinity;
  const double gain = first / second / (value_scale_ * value_scale_ * weight_scale_);
  return std::max(square_totals_[at] - gain, 0.0);
}

void StumpScanner::ScanFeature(int feature, AlignedBytes& scratch, SideLosses* losses) const {
  const SearchProblem& problem = node_->problem();
  alignas(64) double best[kBestSize];
  Scan scan{};
  const std::span<const uint32_t> order = node_->order(feature);
  scan.order = order.data();
  scan.count = static_cast<int>(order.size());
  scan.groups = groups_;
  scan.codes = codes_.data();
  const Table table = weighted_ || kind_ == Kind::kRegression ? Table::kMasks
                      : kind_ == Kind::kBinary                ? Table::kSigned
                                                              : Table::kOnes;
  scan.table = table == Table::kMasks    ? TableOf<Table::kMasks>(type_)
               : table == Table::kSigned ? TableOf<Table::kSigned>(type_)
                                         : TableOf<Table::kOnes>(type_);
  scan.weights = weighted_ || kind_ == Kind::kRegression ? weights_.data() : nullptr;
  if (counted_) {
    scan.counts = counts_.data();
    scan.count_totals = count_totals_.data();
    scan.min_count = static_cast<double>(problem.min_samples_leaf());
  }
  scan.classes = class_of_.data();
  scan.class_count = classes_;
  scan.costs = problem.costs().data();
  scan.cost_totals = sum_totals_;
  scan.sums = static_cast<const double*>(sums_.data());
  scan.outputs = problem.outputs();
  scan.sum_totals = scaled_sum_totals_;
  scan.weight_totals = scaled_weight_totals_;
  scan.best = best;
  const int scratch_rows = kind_ == Kind::kClasses ? scan.count : 0;
  const int scratch_outputs = kind_ == Kind::kRegression ? problem.outputs() : classes_;
  scan.scratch = scratch.Room(
      static_cast<size_t>(ScratchBytes(scratch_rows, groups_, scratch_outputs, type_)));
  const ScanFunctions& functions = FastestScans();
  switch (kind_) {
    case Kind::kBinary:
      functions.binary(scan, type_);
      break;
    case Kind::kClasses:
      functions.classes(scan, type_);
      break;
    case Kind::kCosts:
      functions.costs(scan);
      break;
    case Kind::kRegression:
      functions.regression(scan);
      break;
  }
  for (int g = 0; g < groups_; ++g) {
    LeafLosses(g, losses[g]);
    for (int side = 0; side < 2; ++side) {
      for (int lane = 0; lane < lanes_[g]; ++lane) {
        double& relaxed = losses[g].relaxed[side][lane];
        double& constrained = losses[g].constrained[side][lane];
        relaxed = std::min(relaxed, problem.split_penalty() + SplitLoss(best, g, side, 0, lane));
        if (!counted_) {
          constrained = relaxed;
        } else if (constrained < kInfinity) {
          constrained =
              std::min(constrained, problem.split_penalty() + SplitLoss(best, g, side, 1, lane));
        }
      }
    }
  }
}

}  // namespace trainyard::quant_bnb
