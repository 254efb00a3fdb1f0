#include "core/trees/explain/interventional_shap.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "core/trees/explain/path_plan.h"
#include "core/trees/explain/path_shap.h"

namespace trainyard {
namespace {

constexpr int64_t kGroup = 64;
constexpr int64_t kStepsPerQuestion = 1'000'000;

// The background rows of a group: all 64 bits but in the last one.
uint64_t GroupMask(int64_t group, int64_t count) {
  const int64_t rows = std::min(kGroup, count - group * kGroup);
  return rows == kGroup ? ~uint64_t{0} : (uint64_t{1} << rows) - 1;
}

}  // namespace

// Some rows' ways through the trees; what it needs is used again from tree to tree.
class InterventionalShap::Walk {
 public:
  Walk(const InterventionalShap& shap, StopToken& stop)
      : shap_(shap),
        stop_(stop),
        columns_(shap.used_.size()),
        outputs_all_(static_cast<size_t>(shap.outputs_)),
        roles_(columns_, Role::kBoth) {}

  // phi of rows [begin, begin + count), [row][output][feature]; unfinished when asked to stop.
  void Run(std::span<const FeatureColumn> features, int64_t begin, int64_t count, double* out) {
    const size_t rows = static_cast<size_t>(count);
    block_values_.clear();
    for (int64_t row = begin; row < begin + count; ++row) {
      for (const int32_t feature : shap_.used_) {
        block_values_.push_back(ValueAt(features[static_cast<size_t>(feature)], row));
      }
    }
    block_phi_.assign(rows * columns_ * outputs_all_, 0.0);
    const int64_t groups = (shap_.background_count_ + kGroup - 1) / kGroup;
    for (const Plan& plan : shap_.plans_) {
      for (size_t row = 0; row < rows; ++row) {
        values_ = block_values_.data() + row * columns_;
        phi_ = block_phi_.data() + row * columns_ * outputs_all_;
        if (plan.tables.has_value()) {
          if (!AddTables(plan)) return;
          continue;
        }
        for (int64_t group = 0; group < groups; ++group) {
          if (!WalkTree(plan, group)) return;
        }
      }
    }
    Write(rows, out);
  }

 private:
  // From where the feature of a split is taken on the present path.
  enum class Role : uint8_t { kBoth, kRow, kBackground };

  struct Frame {
    int32_t node;
    int32_t from_row;         // features taken from the row alone
    int32_t from_background;  // features taken from the background alone
    uint64_t background;      // background rows that come here
    int stage;
    Role taken;      // what the step to this node decided about `column`; kBoth: nothing
    int32_t column;  // of the split above
  };

  // Sums over the leaves below a frame, for a feature taken from the row and from the background.
  double* SumsOf(size_t depth) { return sums_.data() + depth * 2 * outputs_; }

  void Write(size_t rows, double* out) const {
    const size_t width = static_cast<size_t>(shap_.feature_count_);
    std::fill_n(out, rows * width * outputs_all_, 0.0);
    const double scale = shap_.scale_ / static_cast<double>(shap_.background_count_);
    const double* phi = block_phi_.data();
    for (size_t row = 0; row < rows; ++row, out += width * outputs_all_) {
      for (size_t c = 0; c < columns_; ++c) {
        for (size_t k = 0; k < outputs_all_; ++k) {
          out[k * width + static_cast<size_t>(shap_.used_[c])] = scale * *phi++;
        }
      }
    }
  }

  // Goes to a node: of a leaf its share goes to the frame on top at once, and nothing is pushed.
  bool Visit(const Plan& plan, int32_t node, int32_t from_row, int32_t from_background,
             uint64_t background, Role taken, int32_t column) {
    if (plan.nodes[static_cast<size_t>(node)].column < 0) {
      AddLeaf(plan, node, from_row, from_background, background, taken, column);
      return false;
    }
    if (taken != Role::kBoth) roles_[static_cast<size_t>(column)] = taken;
    frames_.push_back({node, from_row, from_background, background, 0, taken, column});
    if (sums_.size() < frames_.size() * 2 * outputs_) sums_.resize(frames_.size() * 4 * outputs_);
    std::fill_n(SumsOf(frames_.size() - 1), 2 * outputs_, 0.0);
    return true;
  }

  // Adds up what every leaf adds by the features that fail for the row.
  bool AddTables(const Plan& plan) {
    const LeafTables& tables = *plan.tables;
    steps_ += static_cast<int64_t>(plan.nodes.size());
    if (steps_ >= kStepsPerQuestion) {
      steps_ = 0;
      if (stop_.Ask()) return false;
    }
    failed_.resize(std::max(failed_.size(), plan.nodes.size()));
    tables.FindFailed(
        [&](int32_t number) {
          const Node& node = plan.nodes[static_cast<size_t>(number)];
          return shap_.GoesLeft(node, values_[static_cast<size_t>(node.column)]);
        },
        failed_);
    const size_t outputs = static_cast<size_t>(plan.outputs);
    for (const LeafTables::Leaf& leaf : tables.leaves()) {
      const size_t node = static_cast<size_t>(leaf.node);
      const int32_t* const columns = tables.ColumnsOf(leaf);
      const double* const shares = tables.SharesOf(leaf, failed_[node]);
      const double* const value = plan.values.data() + node * outputs;
      for (uint32_t j = 0; j < leaf.features; ++j) {
        double* const phi = PhiOf(plan, columns[j]);
        for (size_t k = 0; k < outputs; ++k) phi[k] += shares[j] * value[k];
      }
    }
    return true;
  }

  bool WalkTree(const Plan& plan, int64_t group) {
    outputs_ = static_cast<size_t>(plan.outputs);
    const uint64_t* goes_left =
        plan.goes_left.data() + static_cast<size_t>(group) * plan.nodes.size();
    // A tree without splits explains nothing.
    if (plan.nodes[0].column < 0) return true;
    Visit(plan, 0, 0, 0, GroupMask(group, shap_.background_count_), Role::kBoth, 0);
    while (!frames_.empty()) {
      if (++steps_ >= kStepsPerQuestion) {
        steps_ = 0;
        if (stop_.Ask()) return false;
      }
      const int32_t node = frames_.back().node;
      if (!Advance(plan, plan.nodes[static_cast<size_t>(node)], goes_left[node])) Pop(plan);
    }
    return true;
  }

  // Goes on to children that any background row reaches, until one is pushed; false after the last.
  bool Advance(const Plan& plan, const Node& node, uint64_t goes_left) {
    const Frame f = frames_.back();
    int& stage = frames_.back().stage;  // valid as long as nothing is pushed
    const Role role = roles_[static_cast<size_t>(node.column)];
    if (role == Role::kBackground) {
      while (stage < 2) {
        const bool left = stage++ == 0;
        const uint64_t rows = f.background & (left ? goes_left : ~goes_left);
        if (rows != 0 && Visit(plan, left ? node.left : node.right, f.from_row, f.from_background,
                               rows, Role::kBoth, 0)) {
          return true;
        }
      }
      return false;
    }
    const bool row_left = shap_.GoesLeft(node, values_[static_cast<size_t>(node.column)]);
    const int32_t row_child = row_left ? node.left : node.right;
    if (role == Role::kRow) {
      return stage++ == 0 &&
             Visit(plan, row_child, f.from_row, f.from_background, f.background, Role::kBoth, 0);
    }
    const uint64_t same = f.background & (row_left ? goes_left : ~goes_left);
    const uint64_t other = f.background & ~same;
    while (stage < 3) {
      const int present = stage++;
      bool pushed = false;
      if (present == 0) {
        pushed = same != 0 &&
                 Visit(plan, row_child, f.from_row, f.from_background, same, Role::kBoth, 0);
      } else if (other == 0) {
        return false;
      } else if (present == 1) {
        pushed = Visit(plan, row_child, f.from_row + 1, f.from_background, other, Role::kRow,
                       node.column);
      } else {
        pushed = Visit(plan, row_left ? node.right : node.left, f.from_row, f.from_background + 1,
                       other, Role::kBackground, node.column);
      }
      if (pushed) return true;
    }
    return false;
  }

  void AddLeaf(const Plan& plan, int32_t node, int32_t from_row, int32_t from_background,
               uint64_t background, Role taken, int32_t column) {
    const size_t a = static_cast<size_t>(from_row);
    const size_t c = static_cast<size_t>(from_background);
    const double rows = std::popcount(background);
    const double* value = plan.values.data() + static_cast<size_t>(node) * outputs_;
    double* sums = SumsOf(frames_.size() - 1);
    const double row_weight = rows * shap_.weights_(a, c);
    const double background_weight = rows * shap_.weights_(c, a);
    for (size_t k = 0; k < outputs_; ++k) {
      sums[2 * k] += row_weight * value[k];
      sums[2 * k + 1] += background_weight * value[k];
    }
    if (taken == Role::kBoth) return;
    double* phi = PhiOf(plan, column);
    const double weight = taken == Role::kRow ? row_weight : -background_weight;
    for (size_t k = 0; k < outputs_; ++k) phi[k] += weight * value[k];
  }

  // Contributions to a feature, from the tree's first output.
  double* PhiOf(const Plan& plan, int32_t column) {
    return phi_ + static_cast<size_t>(column) * outputs_all_ + plan.first_output;
  }

  // Leaves a frame: its sums go to the feature that it was reached by, and to the frame above.
  void Pop(const Plan& plan) {
    const Frame frame = frames_.back();
    const double* sums = SumsOf(frames_.size() - 1);
    if (frame.taken != Role::kBoth) {
      roles_[static_cast<size_t>(frame.column)] = Role::kBoth;
      double* phi = PhiOf(plan, frame.column);
      for (size_t k = 0; k < outputs_; ++k) {
        phi[k] += frame.taken == Role::kRow ? sums[2 * k] : -sums[2 * k + 1];
      }
    }
    frames_.pop_back();
    if (frames_.empty()) return;
    double* above = SumsOf(frames_.size() - 1);
    for (size_t i = 0; i < 2 * outputs_; ++i) above[i] += sums[i];
  }

  const InterventionalShap& shap_;
  StopToken& stop_;
  const size_t columns_;
  const size_t outputs_all_;          // of the ensemble
  std::vector<double> block_values_;  // [row][used feature]
  std::vector<double> block_phi_;     // [row][used feature][output]
  const double* values_ = nullptr;    // of the present row
  double* phi_ = nullptr;             // likewise
  std::vector<Role> roles_;           // by used feature
  std::vector<Frame> frames_;
  std::vector<double> sums_;
  std::vector<uint32_t> failed_;  // by node of the present tree
  size_t outputs_ = 1;            // of the present tree
  int64_t steps_ = kStepsPerQuestion;
};

InterventionalShap::InterventionalShap(const TreeEnsemble& ensemble, int feature_count,
                                       std::span<const FeatureColumn> background, int64_t begin,
                                       int64_t count, int64_t rows, StopToken& stop)
    : feature_count_(feature_count),
      outputs_(ensemble.outputs),
      scale_(CombinationScale(ensemble)),
      background_count_(count),
      used_(UsedFeatures(ensemble)),
      base_(static_cast<size_t>(ensemble.outputs), 0.0) {
  int most = 0;
  for (size_t t = 0; t < ensemble.trees.size(); ++t) {
    if (stop.Ask()) return;
    most = std::max(most, MaxPathFeatures(ensemble.trees[t]));
    plans_.push_back(MakePlan(ensemble.trees[t], ensemble.OutputOf(static_cast<int>(t))));
  }
  weights_ = ShapWeights(static_cast<size_t>(most));
  AddBackground(background, begin, count, stop);
  if (stop.stopped()) return;
  AddTables(ensemble, rows, stop);
  for (size_t k = 0; k < base_.size(); ++k) {
    base_[k] = base_[k] * scale_ + (ensemble.base.empty() ? 0 : ensemble.base[k]);
  }
}

InterventionalShap::Plan InterventionalShap::MakePlan(const Tree& tree, int first_output) {
  Plan plan;
  plan.first_output = first_output;
  plan.outputs = tree.outputs;
  plan.values = tree.value;
  for (int node = 0; node < tree.node_count(); ++node) {
    const size_t t = static_cast<size_t>(node);
    if (tree.is_leaf(node)) {
      plan.nodes.push_back({0, -1, -1, -1, -1, false});
      continue;
    }
    const auto column = std::lower_bound(used_.begin(), used_.end(), tree.feature[t]);
    const std::span<const int32_t> levels = tree.LeftLevels(node);
    plan.nodes.push_back(
        {tree.threshold[t], static_cast<int32_t>(column - used_.begin()), tree.left[t],
         tree.right[t], levels.empty() ? -1 : level_sets_.Add(levels), tree.missing_left[t] != 0});
  }
  return plan;
}

// Sides of the background rows at all nodes, and the leaves that they reach.
void InterventionalShap::AddBackground(std::span<const FeatureColumn> background, int64_t begin,
                                       int64_t count, StopToken& stop) {
  const int64_t groups = (count + kGroup - 1) / kGroup;
  for (Plan& plan : plans_) {
    plan.goes_left.assign(static_cast<size_t>(groups) * plan.nodes.size(), 0);
  }
  std::vector<double> values(used_.size());
  for (int64_t row = 0; row < count && !stop.Ask(); ++row) {
    for (size_t c = 0; c < used_.size(); ++c) {
      values[c] = ValueAt(background[static_cast<size_t>(used_[c])], begin + row);
    }
    for (Plan& plan : plans_) {
      uint64_t* sides =
          plan.goes_left.data() + static_cast<size_t>(row / kGroup) * plan.nodes.size();
      for (size_t t = 0; t < plan.nodes.size(); ++t) {
        const Node& node = plan.nodes[t];
        if (node.column < 0) continue;
        const bool left = GoesLeft(node, values[static_cast<size_t>(node.column)]);
        sides[t] |= static_cast<uint64_t>(left) << (row % kGroup);
      }
      size_t at = 0;
      while (plan.nodes[at].column >= 0) {
        const bool left = ((sides[at] >> (row % kGroup)) & 1) != 0;
        at = static_cast<size_t>(left ? plan.nodes[at].left : plan.nodes[at].right);
      }
      const size_t width = static_cast<size_t>(plan.outputs);
      for (size_t k = 0; k < width; ++k) {
        base_[static_cast<size_t>(plan.first_output) + k] +=
            plan.values[at * width + k] / static_cast<double>(count);
      }
    }
  }
}

void InterventionalShap::AddTables(const TreeEnsemble& ensemble, int64_t rows, StopToken& stop) {
  // What walks take per leaf and background row, and tables per leaf, in steps of Fill; measured.
  constexpr double kWalkSteps = 1.25;
  constexpr double kTableSteps = 18;
  const double saved_per_leaf = static_cast<double>(rows) *
                                (kWalkSteps * static_cast<double>(background_count_) - kTableSteps);
  size_t room = size_t{16} << 20;
  for (size_t t = 0; t < plans_.size() && saved_per_leaf > 0 && !stop.Ask(); ++t) {
    LeafTables tables(ensemble.trees[t], used_);
    const double saved = saved_per_leaf * static_cast<double>(tables.leaves().size());
    if (!tables.possible() || tables.size() > room || tables.Work(background_count_) > saved) {
      continue;
    }
    room -= tables.size();
    tables.Fill(plans_[t].goes_left, background_count_, weights_, stop);
    plans_[t].tables = std::move(tables);
    std::vector<uint64_t>().swap(plans_[t].goes_left);
  }
}

bool InterventionalShap::GoesLeft(const Node& node, double value) const {
  if (std::isnan(value)) return node.missing_left;
  if (node.level_set < 0) return value <= node.threshold;
  return level_sets_.Contains(node.level_set, value);
}

absl::Status InterventionalShap::Explain(std::span<const FeatureColumn> features, int64_t begin,
                                         int64_t count, ThreadPool& pool, StopToken& stop,
                                         std::span<double> values) const {
  // Tables are read for as many rows as leave work for all threads.
  constexpr int64_t kMostTaskRows = 64;
  const int64_t task_rows =
      std::clamp<int64_t>((count + pool.threads() - 1) / pool.threads(), 1, kMostTaskRows);
  const size_t width = static_cast<size_t>(outputs_) * static_cast<size_t>(feature_count_);
  pool.Run((count + task_rows - 1) / task_rows, [&](int64_t task, int) {
    if (stop.stopped()) return;
    const int64_t first = task * task_rows;
    Walk(*this, stop)
        .Run(features, begin + first, std::min(task_rows, count - first),
             values.data() + static_cast<size_t>(first) * width);
  });
  return stop.status();
}

}  // namespace trainyard
