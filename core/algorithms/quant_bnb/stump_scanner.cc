#include "core/algorithms/quant_bnb/stump_scanner.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace trainyard::quant_bnb {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kSpan = 2 * kLanes;  // both sides of the thresholds of a group

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
  least_weight_ = kInfinity;
  for (size_t i = 0; i < rows.size(); ++i) {
    weights[i] = problem.weights()[rows[i]] * weight_scale_;
    least_weight_ = std::min(least_weight_, weights[i]);
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

// Room for the totals of all groups, zeroed.
void StumpScanner::Reserve() {
  outputs_ =
      kind_ == Kind::kRegression || kind_ == Kind::kCosts || !node_->problem().costs().empty()
          ? static_cast<size_t>(node_->problem().outputs())
          : static_cast<size_t>(classes_);
  const size_t lanes = static_cast<size_t>(groups_) * kSpan;
  const size_t size = lanes * (2 * outputs_ + 6);
  double* next = static_cast<double*>(totals_.Room(size * sizeof(double)));
  std::fill(next, next + size, 0.0);
  for (double** part : {&sum_totals_, &means_}) {
    *part = next;
    next += lanes * outputs_;
  }
  for (double** part : {&weight_totals_, &scaled_weight_totals_, &least_products_, &square_totals_,
                        &sample_totals_, &leaf_losses_}) {
    *part = next;
    next += lanes;
  }
}

void StumpScanner::Prepare(std::span<const ThresholdGroup> groups) {
  groups_ = static_cast<int>(groups.size());
  codes_.resize(node_->rows().size() * groups.size());
  Reserve();
  for (int g = 0; g < groups_; ++g) {
    const ThresholdGroup& group = groups[static_cast<size_t>(g)];
    lanes_[g] = static_cast<int>(group.places.size());
    AssignCodes(group, g);
    StoreTotals(g, lanes_[g]);
    if (kind_ == Kind::kRegression) StoreMeans(g);
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

// Codes of all rows, and the sums over the rows of each code.
void StumpScanner::AssignCodes(const ThresholdGroup& group, int g) {
  const std::span<const uint32_t> order = node_->order(group.feature);
  const bool with_class = kind_ == Kind::kBinary && !weighted_;
  const size_t groups = static_cast<size_t>(groups_);
  uint8_t* const codes = codes_.data() + g;
  segments_.assign((group.places.size() + 1) * (outputs_ + 3), 0.0);
  size_t begin = 0;
  for (size_t passed = 0; passed <= group.places.size(); ++passed) {
    const size_t end =
        passed < group.places.size() ? static_cast<size_t>(group.places[passed]) + 1 : order.size();
    if (with_class) {
      size_t ones = 0;
      for (size_t i = begin; i < end; ++i) {
        const size_t row = order[i] & kRowMask;
        ones += class_of_[row];
        codes[row * groups] = static_cast<uint8_t>(2 * passed + class_of_[row]);
      }
      double* const sums = segments_.data() + passed * (outputs_ + 3);
      if (outputs_ > 1) sums[1] = static_cast<double>(ones);
      sums[0] = static_cast<double>(end - begin - ones);
      sums[outputs_] = sums[outputs_ + 2] = static_cast<double>(end - begin);
    } else {
      for (size_t i = begin; i < end; ++i) {
        codes[(order[i] & kRowMask) * groups] = static_cast<uint8_t>(passed);
      }
      AddUpRows(order.subspan(begin, end - begin), segments_.data() + passed * (outputs_ + 3));
    }
    begin = end;
  }
}

// Adds the quantities of `segments_` up over some rows.
void StumpScanner::AddUpRows(std::span<const uint32_t> entries, double* sums) const {
  const SearchProblem& problem = node_->problem();
  for (const uint32_t entry : entries) {
    const size_t local = entry & kRowMask;
    const uint32_t row = node_->rows()[local];
    const double weight = problem.weights()[row];
    sums[outputs_] += weight;
    sums[outputs_ + 2] += static_cast<double>(problem.counts()[row]);
    if (kind_ == Kind::kRegression) {
      for (size_t o = 0; o < outputs_; ++o) {
        sums[o] += problem.sums()[row * outputs_ + o];
        sums[outputs_ + 1] += problem.squares()[row * outputs_ + o];
      }
    } else if (problem.costs().empty()) {
      sums[class_of_[local]] += weight;
    } else {
      const size_t first = static_cast<size_t>(problem.classes()[row]) * outputs_;
      for (size_t p = 0; p < outputs_; ++p) sums[p] += weight * problem.costs()[first + p];
    }
  }
}

// Sums of each side of each threshold from those between them.
void StumpScanner::StoreTotals(int g, int lanes) {
  const size_t quantities = outputs_ + 3;
  const auto at = [&](double* totals, size_t quantity) {
    return quantity < outputs_
               ? sum_totals_ + (static_cast<size_t>(g) * outputs_ + quantity) * kSpan
               : totals + static_cast<size_t>(g) * kSpan;
  };
  for (size_t q = 0; q < quantities; ++q) {
    double* const to = at(q == outputs_       ? weight_totals_
                          : q == outputs_ + 1 ? square_totals_
                                              : sample_totals_,
                          q);
    double left = 0;
    for (int lane = 0; lane < lanes; ++lane) {
      left += segments_[static_cast<size_t>(lane) * quantities + q];
      to[lane] = left;
    }
    double right = 0;
    for (int lane = lanes - 1; lane >= 0; --lane) {
      right += segments_[static_cast<size_t>(lane + 1) * quantities + q];
      to[kLanes + lane] = right;
    }
  }
  for (int side = 0; side < 2; ++side) {
    for (int lane = 0; lane < lanes; ++lane) {
      leaf_losses_[g * kSpan + side * kLanes + lane] = LeafLoss(g, side * kLanes + lane);
    }
  }
}

void StumpScanner::StoreMeans(int g) {
  const size_t first = static_cast<size_t>(g) * kSpan;
  for (size_t i = first; i < first + kSpan; ++i) {
    const double weight = weight_totals_[i];
    scaled_weight_totals_[i] = weight * weight_scale_;
    // The product of the weights of two leaves, neither of them empty, is at least that of the
    // least weight and half of all.
    least_products_[i] = scaled_weight_totals_[i] * least_weight_ / 4;
    for (size_t o = 0; o < outputs_; ++o) {
      const size_t at = (static_cast<size_t>(g) * outputs_ + o) * kSpan + (i - first);
      means_[at] = weight > 0 ? sum_totals_[at] / weight * value_scale_ : 0;
    }
  }
}

template <typename T>
void StumpScanner::StoreCountTotals() {
  const size_t size = static_cast<size_t>(groups_) * kSpan;
  T* const totals = static_cast<T*>(count_totals_.Room(size * sizeof(T)));
  for (size_t i = 0; i < size; ++i) totals[i] = static_cast<T>(sample_totals_[i]);
}

// `at` is side * kLanes + lane, here and below.
double StumpScanner::LeafLoss(int g, int at) const {
  const double weight = weight_totals_[g * kSpan + at];
  if (weight <= 0) return 0;
  const SearchProblem& problem = node_->problem();
  double greatest = -kInfinity;
  double least = kInfinity;
  double squares = 0;
  for (size_t o = 0; o < outputs_; ++o) {
    const double sum =
        sum_totals_[(static_cast<size_t>(g) * outputs_ + o) * kSpan + static_cast<size_t>(at)];
    greatest = std::max(greatest, sum);
    least = std::min(least, sum);
    squares += sum * sum;
  }
  if (problem.classification()) return problem.costs().empty() ? weight - greatest : least;
  return std::max(square_totals_[g * kSpan + at] - squares / weight, 0.0);
}

double StumpScanner::SplitLoss(const double* best, int g, int constrained, int at) const {
  const double first = best[BestIndex(g, constrained, 0) + at];
  const double second = best[BestIndex(g, constrained, 1) + at];
  switch (kind_) {
    case Kind::kBinary: {
      // Weight of class 0 and 1, or what it costs to miss them all.
      const double* const sums = sum_totals_ + static_cast<size_t>(g) * outputs_ * kSpan + at;
      double zeros = sums[0];
      double ones = outputs_ > 1 ? sums[kSpan] : 0;
      // The cost of predicting class 1 is that of missing class 0.
      if (!node_->problem().costs().empty()) std::swap(zeros, ones);
      return std::min(zeros - first, ones + second);
    }
    case Kind::kClasses:
      return weight_totals_[g * kSpan + at] - first;
    case Kind::kCosts:
      return first;
    case Kind::kRegression:
      break;
  }
  if (first < 0) return kInfinity;
  const double gain = first / second * scaled_weight_totals_[g * kSpan + at] /
                      (value_scale_ * value_scale_ * weight_scale_);
  return std::max(leaf_losses_[g * kSpan + at] - gain, 0.0);
}

Scan StumpScanner::DescribeScan(int feature) const {
  const SearchProblem& problem = node_->problem();
  const std::span<const uint32_t> order = node_->order(feature);
  const bool weighted = weighted_ || kind_ == Kind::kRegression;
  Scan scan{};
  scan.order = order.data();
  scan.count = static_cast<int>(order.size());
  scan.groups = groups_;
  scan.codes = codes_.data();
  if (weighted) {
    scan.table = TableOf<Table::kMasks>(type_);
    scan.weights = weights_.data();
  } else {
    scan.table =
        kind_ == Kind::kBinary ? TableOf<Table::kSigned>(type_) : TableOf<Table::kOnes>(type_);
  }
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
  scan.means = means_;
  scan.weight_totals = scaled_weight_totals_;
  scan.least_products = least_products_;
  return scan;
}

void StumpScanner::ScanFeature(int feature, AlignedBytes& scratch, SideLosses* losses) const {
  alignas(64) double best[kBestSize];
  Scan scan = DescribeScan(feature);
  scan.best = best;
  const int scratch_rows = kind_ == Kind::kClasses ? scan.count : 0;
  const int scratch_outputs = kind_ == Kind::kRegression ? scan.outputs : classes_;
  scan.scratch = scratch.Room(
      static_cast<size_t>(ScratchBytes(scratch_rows, groups_, scratch_outputs, type_)));
  switch (kind_) {
    case Kind::kBinary:
      functions_.binary(scan, type_);
      break;
    case Kind::kClasses:
      functions_.classes(scan, type_);
      break;
    case Kind::kCosts:
      functions_.costs(scan);
      break;
    case Kind::kRegression:
      functions_.regression(scan);
      break;
  }
  for (int g = 0; g < groups_; ++g) {
    for (int side = 0; side < 2; ++side) {
      for (int lane = 0; lane < lanes_[g]; ++lane) StoreLosses(best, g, side, lane, losses[g]);
    }
  }
}

void StumpScanner::LeafLosses(int g, SideLosses& losses) const {
  const double least = static_cast<double>(node_->problem().min_samples_leaf());
  for (int side = 0; side < 2; ++side) {
    for (int lane = 0; lane < lanes_[g]; ++lane) {
      const int at = g * kSpan + side * kLanes + lane;
      losses.relaxed[side][lane] = leaf_losses_[at];
      losses.constrained[side][lane] = sample_totals_[at] < least ? kInfinity : leaf_losses_[at];
    }
  }
}

// The better of a leaf and a split.
void StumpScanner::StoreLosses(const double* best, int g, int side, int lane,
                               SideLosses& losses) const {
  const SearchProblem& problem = node_->problem();
  const int at = side * kLanes + lane;
  const double leaf = leaf_losses_[g * kSpan + at];
  const double penalty = problem.split_penalty();
  losses.relaxed[side][lane] = std::min(leaf, penalty + SplitLoss(best, g, 0, at));
  if (!counted_) {
    losses.constrained[side][lane] = losses.relaxed[side][lane];
    return;
  }
  const double least = static_cast<double>(problem.min_samples_leaf());
  losses.constrained[side][lane] = sample_totals_[g * kSpan + at] < least
                                       ? kInfinity
                                       : std::min(leaf, penalty + SplitLoss(best, g, 1, at));
}

}  // namespace trainyard::quant_bnb
