#include "core/trees/explain/shap_interactions.h"

#include <algorithm>

#include "core/trees/explain/row_lanes.h"

namespace trainyard {
namespace {

constexpr size_t kLanes = kShapLanes;
constexpr int64_t kPassesPerQuestion = 64;
// In Pass::above: only splits below are on the feature; none is.
constexpr int32_t kNoneAbove = -1;
constexpr int32_t kIrrelevant = -2;

// One feature i and one tree for a block of rows. The recursion is that of path_kernel_body.h with
// the factor q_i replaced by o_i - z_i, which is 0 on paths without i: products P leave i out, and
// leaves below a split on i carry o_i - z_i with their value.
class InteractionPass {
 public:
  // `above` as in ShapInteractions::Pass. `rows` is [column][lane], `pairs` [column][output of the
  // ensemble][lane], `stride` numbers from column to column, added to.
  InteractionPass(const PathPlan& plan, int32_t column, std::span<const int32_t> above,
                  const double* rows, size_t stride, double* pairs, std::vector<double>& scratch)
      : plan_(plan),
        column_(column),
        above_(above),
        rows_(rows),
        stride_(stride),
        pairs_(pairs),
        points_(static_cast<size_t>(plan.points)),
        outputs_(static_cast<size_t>(plan.outputs)),
        levels_(static_cast<size_t>(plan.levels) + 1) {
    scratch.resize(std::max(scratch.size(), kLanes * levels_ * (points_ * (1 + 2 * outputs_) + 5)));
    products_ = scratch.data();
    sums_ = products_ + levels_ * points_ * kLanes;
    merged_ = sums_ + 2 * levels_ * points_ * outputs_ * kLanes;
    old_ = merged_ + levels_ * kLanes;
    left_ = old_ + levels_ * kLanes;
    steps_ = left_ + levels_ * kLanes;
    gains_ = steps_ + levels_ * kLanes;
  }

  void Run(std::span<const PathOperation> operations) {
    for (size_t g = 0; g < points_; ++g)
      std::fill_n(products_ + g * kLanes, kLanes, plan_.weights[g]);
    for (const PathOperation& operation : operations) {
      const PathNode& node = plan_.nodes[static_cast<size_t>(operation.node)];
      switch (operation.step) {
        case PathStep::kEnter:
          Decide(node);
          Descend(node, true);
          break;
        case PathStep::kTurn:
          Descend(node, false);
          break;
        case PathStep::kLeafPair:
          Decide(node);
          [[fallthrough]];
        case PathStep::kLeave:
          for (size_t k = 0; k < outputs_; ++k) Leave(node, operation.node, k);
          break;
      }
    }
  }

 private:
  double* At(double* base, int32_t level) const {
    return base + static_cast<size_t>(level) * kLanes;
  }
  double* Product(int32_t level) const {
    return products_ + static_cast<size_t>(level) * points_ * kLanes;
  }
  double* Sum(int32_t side, int32_t level, size_t output) const {
    const size_t place = static_cast<size_t>(side) * levels_ + static_cast<size_t>(level);
    return sums_ + (place * outputs_ + output) * points_ * kLanes;
  }

  bool GoesLeft(const PathNode& node, double value) const {
    if (value != value) return node.missing_left != 0;
    if (node.level_set < 0) return value <= node.threshold;
    return plan_.level_sets.Contains(node.level_set, value);
  }

  // Sides of the rows at a node, and s = o_old (o_left - z_left).
  void Decide(const PathNode& node) {
    const double* values = rows_ + static_cast<size_t>(node.column) * kLanes;
    const double* above = node.previous < 0 ? nullptr : At(merged_, node.previous);
    for (size_t l = 0; l < kLanes; ++l) {
      const double side = GoesLeft(node, values[l]) ? 1.0 : 0.0;
      const double old = above == nullptr ? 1.0 : above[l];
      At(old_, node.level)[l] = old;
      At(left_, node.level)[l] = old * side;
      At(steps_, node.level)[l] = old * (side - node.left_share);
    }
  }

  // o - z of a child of a split on i.
  double GainOf(const PathNode& node, bool is_left, size_t lane) const {
    const double left = At(left_, node.level)[lane];
    return is_left ? left - node.old_share * node.left_share
                   : At(old_, node.level)[lane] - left - node.old_share * (1 - node.left_share);
  }

  // Products for a child; those of a split on i leave its factor out.
  void Descend(const PathNode& node, bool to_left) {
    const double* old = At(old_, node.level);
    const double* left = At(left_, node.level);
    const double* steps = At(steps_, node.level);
    double* merged = At(merged_, node.level);
    for (size_t l = 0; l < kLanes; ++l) merged[l] = to_left ? left[l] : old[l] - left[l];
    if ((to_left ? node.left : node.right) < 0) return;
    const double* product = Product(node.level);
    double* next = Product(node.level + 1);
    if (node.column == column_) {
      std::copy_n(product, points_ * kLanes, next);
      for (size_t l = 0; l < kLanes; ++l) At(gains_, node.level)[l] = GainOf(node, to_left, l);
      return;
    }
    const double* b = plan_.factors.data() + node.factors;
    const double share = to_left ? node.left_share : 1 - node.left_share;
    for (size_t g = 0; g < points_; ++g) {
      const double factor = to_left ? b[g] : -b[g];
      for (size_t l = 0; l < kLanes; ++l) {
        next[g * kLanes + l] = product[g * kLanes + l] * (share + steps[l] * factor);
      }
    }
  }

  // Sum of a child, [g][lane]: of an inner node what it left, of a leaf v (o_i - z_i), and 0 where
  // no split on i is above or below.
  const double* ChildSum(const PathNode& node, int32_t index, bool is_left, size_t k,
                         double* made) {
    const int32_t child = is_left ? node.left : node.right;
    if (child >= 0 && above_[static_cast<size_t>(child)] != kIrrelevant) {
      return Sum(is_left ? 0 : 1, node.level + 1, k);
    }
    const int32_t above = above_[static_cast<size_t>(index)];
    const bool splits_on_it = node.column == column_;
    if (child >= 0 || (above < 0 && !splits_on_it)) {
      std::fill_n(made, kLanes, 0.0);
      return nullptr;
    }
    const double value = plan_.leaf_values[static_cast<size_t>(~child) * outputs_ + k];
    for (size_t l = 0; l < kLanes; ++l) {
      made[l] = value * (splits_on_it ? GainOf(node, is_left, l) : At(gains_, above)[l]);
    }
    return nullptr;
  }

  // The sum of a node and, where it does not split on i, its contribution to the pair.
  void Leave(const PathNode& node, int32_t index, size_t k) {
    alignas(64) double left_made[kLanes];
    alignas(64) double right_made[kLanes];
    alignas(64) double total[kLanes] = {};
    const double* left = ChildSum(node, index, true, k, left_made);
    const double* right = ChildSum(node, index, false, k, right_made);
    double* sum = Sum(node.side, node.level, k);
    if (node.column == column_) {
      for (size_t g = 0; g < points_; ++g) {
        const double* a = left == nullptr ? left_made : left + g * kLanes;
        const double* b = right == nullptr ? right_made : right + g * kLanes;
        for (size_t l = 0; l < kLanes; ++l) sum[g * kLanes + l] = a[l] + b[l];
      }
      return;
    }
    const double* steps = At(steps_, node.level);
    const double* product = Product(node.level);
    const double* factors = plan_.factors.data() + node.factors;
    for (size_t g = 0; g < points_; ++g) {
      const double* a = left == nullptr ? left_made : left + g * kLanes;
      const double* b = right == nullptr ? right_made : right + g * kLanes;
      const double r = factors[points_ + g];
      for (size_t l = 0; l < kLanes; ++l) {
        const double difference = a[l] - b[l];
        total[l] += product[g * kLanes + l] * r * difference;
        sum[g * kLanes + l] = b[l] + (node.left_share + steps[l] * factors[g]) * difference;
      }
    }
    double* pair = pairs_ + static_cast<size_t>(node.column) * stride_ +
                   (static_cast<size_t>(plan_.first_output) + k) * kLanes;
    for (size_t l = 0; l < kLanes; ++l) pair[l] += steps[l] * total[l];
  }

  const PathPlan& plan_;
  const int32_t column_;
  const std::span<const int32_t> above_;
  const double* rows_;
  const size_t stride_;
  double* pairs_;
  const size_t points_;
  const size_t outputs_;
  const size_t levels_;
  double* products_;  // P [level][g]
  double* sums_;      // S [side][level][output][g]
  double* merged_;    // o of the nearest split on a feature, on the side taken: [level]
  double* old_;       // o of the split above on the same feature: [level]
  double* left_;      // o of the left child: [level]
  double* steps_;     // [level]
  double* gains_;     // o_i - z_i on the side taken, where the level splits on i: [level]
};

}  // namespace

ShapInteractions::ShapInteractions(const TreeEnsemble& ensemble, int feature_count, StopToken& stop)
    : shap_(ensemble, feature_count, stop) {
  for (size_t t = 0; t < shap_.plans().size() && !stop.Ask(); ++t) {
    const PathPlan& plan = shap_.plans()[t];
    std::vector<int32_t> columns;
    for (const PathNode& node : plan.nodes) columns.push_back(node.column);
    std::sort(columns.begin(), columns.end());
    columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
    for (const int32_t column : columns) {
      passes_.push_back(MakePass(plan, static_cast<int32_t>(t), column));
    }
  }
  std::stable_sort(passes_.begin(), passes_.end(),
                   [](const Pass& a, const Pass& b) { return a.column < b.column; });
}

ShapInteractions::Pass ShapInteractions::MakePass(const PathPlan& plan, int32_t index,
                                                  int32_t column) {
  Pass pass{index, column, {}, std::vector<int32_t>(plan.nodes.size(), kIrrelevant)};
  std::vector<int32_t>& above = pass.above;
  // Children stand behind their parents: upwards who has a split on the feature below or is one,
  // then downwards who has one above.
  for (size_t n = plan.nodes.size(); n-- > 0;) {
    const PathNode& node = plan.nodes[n];
    for (const int32_t child : {node.left, node.right}) {
      if (child >= 0 && above[static_cast<size_t>(child)] == kNoneAbove) above[n] = kNoneAbove;
    }
    if (node.column == column) above[n] = kNoneAbove;
  }
  for (size_t n = 0; n < plan.nodes.size(); ++n) {
    const PathNode& node = plan.nodes[n];
    const int32_t below = node.column == column ? node.level : above[n];
    if (below < 0) continue;
    for (const int32_t child : {node.left, node.right}) {
      if (child >= 0) above[static_cast<size_t>(child)] = below;
    }
  }
  for (const PathOperation& operation : plan.operations) {
    if (above[static_cast<size_t>(operation.node)] != kIrrelevant) {
      pass.operations.push_back(operation);
    }
  }
  return pass;
}

absl::Status ShapInteractions::Explain(std::span<const FeatureColumn> features, int64_t begin,
                                       int64_t count, ThreadPool& pool, StopToken& stop,
                                       std::span<double> values) const {
  const size_t p = static_cast<size_t>(shap_.feature_count());
  const size_t width = static_cast<size_t>(shap_.outputs()) * p;
  std::vector<double> phi(static_cast<size_t>(count) * width);
  absl::Status status = shap_.Explain(features, begin, count, pool, stop, phi);
  if (!status.ok()) return status;
  pool.Run((count + kShapLanes - 1) / kShapLanes, [&](int64_t block, int) {
    if (stop.stopped()) return;
    const int64_t first = block * kShapLanes;
    ExplainBlock(features, begin + first, std::min<int64_t>(kShapLanes, count - first),
                 phi.data() + static_cast<size_t>(first) * width, stop,
                 values.data() + static_cast<size_t>(first) * width * p);
  });
  return stop.status();
}

void ShapInteractions::ExplainBlock(std::span<const FeatureColumn> features, int64_t begin,
                                    int64_t count, const double* phi, StopToken& stop,
                                    double* values) const {
  const std::span<const int32_t> used = shap_.used();
  const size_t p = static_cast<size_t>(shap_.feature_count());
  const size_t outputs = static_cast<size_t>(shap_.outputs());
  const size_t stride = outputs * kLanes;
  std::vector<double> rows(used.size() * kLanes);
  std::vector<double> pairs(used.size() * stride);
  std::vector<double> scratch;
  GatherLanes(features, used, begin, count, rows.data());
  std::fill_n(values, static_cast<size_t>(count) * outputs * p * p, 0.0);
  auto pass = passes_.begin();
  int64_t passes = 0;
  for (size_t c = 0; c < used.size(); ++c) {
    std::fill(pairs.begin(), pairs.end(), 0.0);
    for (; pass != passes_.end() && pass->column == static_cast<int32_t>(c); ++pass) {
      if (passes++ % kPassesPerQuestion == 0 && stop.Ask()) return;
      InteractionPass(shap_.plans()[static_cast<size_t>(pass->plan)], pass->column, pass->above,
                      rows.data(), stride, pairs.data(), scratch)
          .Run(pass->operations);
    }
    const size_t i = static_cast<size_t>(used[c]);
    for (size_t row = 0; row < static_cast<size_t>(count); ++row) {
      for (size_t k = 0; k < outputs; ++k) {
        double* matrix_row = values + ((row * outputs + k) * p + i) * p;
        double own = phi[(row * outputs + k) * p + i];
        for (size_t d = 0; d < used.size(); ++d) {
          if (d == c) continue;
          const double value = shap_.scale() / 2 * pairs[d * stride + k * kLanes + row];
          matrix_row[used[d]] = value;
          own -= value;
        }
        matrix_row[i] = own;
      }
    }
  }
}

}  // namespace trainyard
