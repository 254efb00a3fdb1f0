// What the best stumps on both sides of a batch of thresholds cost.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/algorithms/quant_bnb/scan.h"
#include "core/algorithms/quant_bnb/search_node.h"

namespace trainyard::quant_bnb {

// Memory whose beginning is aligned for vectors.
class AlignedBytes {
 public:
  // At least `size` bytes; what was there before is lost when it grows.
  void* Room(size_t size);
  const void* data() const { return blocks_.data(); }

 private:
  struct alignas(64) Block {
    unsigned char bytes[64];
  };
  std::vector<Block> blocks_;
};

// Thresholds of one feature of a node.
struct ThresholdGroup {
  int feature;  // number in the node's features()
  // Places in the feature's order of the last row on the left, ascending; at most kLanes.
  std::span<const int> places;
};

// Loss of the best tree of at most one split on each side of each threshold of a group.
struct SideLosses {
  // [side][lane], side 0 being the left one, penalty included.
  double relaxed[2][kLanes];
  // The same where every leaf has as many rows as it must; infinite where it cannot.
  double constrained[2][kLanes];
};

// Runs scans (scan.h) over the rows of one node after another.
class StumpScanner {
 public:
  explicit StumpScanner(const ScanFunctions& functions = FastestScans()) : functions_(functions) {}

  // Chooses the kind of scan for the node, which must outlive its use. O(rows x outputs).
  void Assign(const SearchNode& node);
  // Groups that one batch can have for this node: 1 or 2.
  int max_groups() const { return max_groups_; }
  // Fixes the batch. O(rows x groups).
  void Prepare(std::span<const ThresholdGroup> groups);
  // Losses with nothing but leaves on either side, for group `g`.
  void LeafLosses(int g, SideLosses& losses) const;
  // Losses of the best stumps by feature number `feature`, [group]. Thread-safe between two
  // batches; each thread brings its own `scratch`.
  void ScanFeature(int feature, AlignedBytes& scratch, SideLosses* losses) const;

 private:
  enum class Kind { kBinary, kClasses, kCosts, kRegression };

  void ChooseKind();
  void ChooseType();
  void CopyRows();
  template <typename T>
  void CopyWeights();
  void CopyTargets();
  void NumberClasses();
  void Reserve();
  void AssignCodes(const ThresholdGroup& group, int g);
  void AddUpRows(std::span<const uint32_t> entries, double* sums) const;
  void StoreTotals(int g, int lanes);
  void StoreMeans(int g);
  template <typename T>
  void StoreCountTotals();
  double LeafLoss(int g, int at) const;
  double SplitLoss(const double* best, int g, int constrained, int at) const;
  Scan DescribeScan(int feature) const;
  void StoreLosses(const double* best, int g, int side, int lane, SideLosses& losses) const;

  const ScanFunctions& functions_;
  const SearchNode* node_ = nullptr;
  Kind kind_ = Kind::kBinary;
  ScanType type_ = ScanType::kInt16;
  int max_groups_ = 1;
  bool weighted_ = false;
  bool counted_ = false;
  int classes_ = 0;                 // classes in the node; with costs all
  std::vector<uint16_t> class_of_;  // by row, numbered within the node
  AlignedBytes weights_;
  AlignedBytes counts_;
  AlignedBytes sums_;
  double value_scale_ = 1;   // what targets are multiplied by in scans
  double weight_scale_ = 1;  // what weights are multiplied by
  double least_weight_ = 0;  // of a row, so scaled

  int groups_ = 0;
  int lanes_[kMaxGroups] = {};
  std::vector<uint8_t> codes_;
  // Of the rows between two thresholds of a group: weight by class, cost by prediction or sum by
  // output, then weight, squares and given rows: [code][quantity].
  size_t outputs_ = 0;
  std::vector<double> segments_;
  // Of each side of each threshold, [group][side][lane]; of `sum_totals_`
  // [group][output][side][lane].
  AlignedBytes totals_;
  double* sum_totals_ = nullptr;
  double* means_ = nullptr;
  double* weight_totals_ = nullptr;
  double* scaled_weight_totals_ = nullptr;
  double* least_products_ = nullptr;
  double* square_totals_ = nullptr;
  double* sample_totals_ = nullptr;
  double* leaf_losses_ = nullptr;
  AlignedBytes count_totals_;
};

}  // namespace trainyard::quant_bnb
