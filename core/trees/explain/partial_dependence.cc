#include "core/trees/explain/partial_dependence.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/trees/explain/path_shap.h"
#include "core/trees/explain/row_lanes.h"

namespace trainyard {
namespace {

int64_t PointCount(std::span<const GridAxis> axes) {
  int64_t points = 1;
  for (const GridAxis& axis : axes) points *= static_cast<int64_t>(axis.values.size());
  return points;
}

// Value of axis `which` at a grid point.
double ValueOf(std::span<const GridAxis> axes, size_t which, int64_t point) {
  for (size_t later = axes.size() - 1; later > which; --later) {
    point /= static_cast<int64_t>(axes[later].values.size());
  }
  const std::span<const double> values = axes[which].values;
  return values[static_cast<size_t>(point) % values.size()];
}

// A column with one value in all rows.
class ConstantColumn {
 public:
  ConstantColumn(const FeatureColumn& like, double value, size_t rows) {
    if (like.categorical) {
      const bool is_level = value >= 0 && value < like.level_count;
      codes_.assign(rows, is_level ? static_cast<int32_t>(value) : -1);
      column_ = FeatureColumn::Categorical(codes_, like.level_count);
    } else {
      numbers_.assign(rows, value);
      column_ = FeatureColumn::Numeric(numbers_);
    }
  }
  ConstantColumn(ConstantColumn&&) = default;
  const FeatureColumn& column() const { return column_; }

 private:
  std::vector<double> numbers_;
  std::vector<int32_t> codes_;
  FeatureColumn column_;
};

}  // namespace

std::vector<double> FeatureGrid(const FeatureColumn& column, int64_t rows, int most, double lowest,
                                double highest) {
  std::vector<double> grid;
  if (column.categorical) {
    for (int32_t code = 0; code < column.level_count; ++code) grid.push_back(code);
    return grid;
  }
  std::vector<double> sorted;
  for (const double value : column.numbers.first(static_cast<size_t>(rows))) {
    if (!std::isnan(value)) sorted.push_back(value);
  }
  std::sort(sorted.begin(), sorted.end());
  if (sorted.empty()) return grid;
  for (const double value : sorted) {
    if (!grid.empty() && grid.back() == value) continue;
    grid.push_back(value);
    if (static_cast<int>(grid.size()) > most) break;
  }
  if (static_cast<int>(grid.size()) <= most) return grid;
  grid.clear();
  const double last = static_cast<double>(sorted.size() - 1);
  for (int i = 0; i < most; ++i) {
    const double place = last * (lowest + (highest - lowest) * i / (most - 1));
    const size_t below = static_cast<size_t>(place);
    const size_t above = std::min(below + 1, sorted.size() - 1);
    const double share = place - static_cast<double>(below);
    // Where both are equal (or infinite) there is nothing to interpolate.
    const double value = share == 0 || sorted[below] == sorted[above]
                             ? sorted[below]
                             : (1 - share) * sorted[below] + share * sorted[above];
    if (grid.empty() || value > grid.back()) grid.push_back(value);
  }
  return grid;
}

absl::StatusOr<Dependence> PartialDependence(std::span<const FeatureColumn> features,
                                             std::span<const GridAxis> axes,
                                             const DependenceOptions& options,
                                             const ScoreFunction& score, ThreadPool& pool,
                                             StopToken& stop) {
  const size_t rows = static_cast<size_t>(options.rows);
  const size_t outputs = static_cast<size_t>(options.outputs);
  const size_t points = static_cast<size_t>(PointCount(axes));
  Dependence result;
  result.mean.assign(points * outputs, 0.0);
  if (options.individual) result.individual.resize(rows * points * outputs);
  pool.Run(static_cast<int64_t>(points), [&](int64_t task, int) {
    if (stop.Ask()) return;
    const size_t point = static_cast<size_t>(task);
    std::vector<FeatureColumn> columns(features.begin(), features.end());
    std::vector<ConstantColumn> constants;
    for (size_t a = 0; a < axes.size(); ++a) {
      const size_t feature = static_cast<size_t>(axes[a].feature);
      constants.emplace_back(features[feature], ValueOf(axes, a, task), rows);
      columns[feature] = constants.back().column();
    }
    std::vector<double> scores(rows * outputs);
    score(columns, 0, scores);
    double total = 0;
    for (size_t row = 0; row < rows; ++row) {
      const double weight = options.weights.empty() ? 1.0 : options.weights[row];
      total += weight;
      for (size_t k = 0; k < outputs; ++k) {
        const double value = scores[row * outputs + k];
        result.mean[point * outputs + k] += weight * value;
        if (options.individual) result.individual[(row * points + point) * outputs + k] = value;
      }
    }
    for (size_t k = 0; k < outputs; ++k) result.mean[point * outputs + k] /= total;
  });
  if (const absl::Status status = stop.status(); !status.ok()) return status;
  return result;
}

std::vector<double> PathDependence(const TreeEnsemble& ensemble,
                                   std::span<const FeatureColumn> features,
                                   std::span<const GridAxis> axes) {
  const size_t outputs = static_cast<size_t>(ensemble.outputs);
  const int64_t points = PointCount(axes);
  std::vector<double> means(static_cast<size_t>(points) * outputs, 0.0);
  std::vector<ConstantColumn> constants;
  std::vector<FeatureColumn> columns(features.begin(), features.end());
  std::vector<std::pair<int32_t, double>> pending;  // node and the share that reaches it
  for (int64_t point = 0; point < points; ++point) {
    constants.clear();
    for (size_t a = 0; a < axes.size(); ++a) {
      const size_t feature = static_cast<size_t>(axes[a].feature);
      constants.emplace_back(features[feature], ValueOf(axes, a, point), 1);
      columns[feature] = constants.back().column();
    }
    const auto is_known = [&](int32_t feature) {
      return std::any_of(axes.begin(), axes.end(),
                         [&](const GridAxis& axis) { return axis.feature == feature; });
    };
    double* own = means.data() + static_cast<size_t>(point) * outputs;
    for (size_t i = 0; i < ensemble.trees.size(); ++i) {
      const Tree& tree = ensemble.trees[i];
      pending.assign(1, {0, 1.0});
      while (!pending.empty()) {
        const auto [node, share] = pending.back();
        pending.pop_back();
        const size_t t = static_cast<size_t>(node);
        if (tree.is_leaf(node)) {
          const std::span<const double> value = tree.ValueOf(node);
          double* to = own + ensemble.OutputOf(static_cast<int>(i));
          for (size_t k = 0; k < value.size(); ++k) to[k] += share * value[k];
        } else if (is_known(tree.feature[t])) {
          pending.emplace_back(GoesLeft(tree, node, columns, 0) ? tree.left[t] : tree.right[t],
                               share);
        } else {
          const double left = tree.weight[static_cast<size_t>(tree.left[t])];
          const double right = tree.weight[static_cast<size_t>(tree.right[t])];
          pending.emplace_back(tree.left[t], share * left / (left + right));
          pending.emplace_back(tree.right[t], share * right / (left + right));
        }
      }
    }
    for (size_t k = 0; k < outputs; ++k) {
      own[k] = own[k] * CombinationScale(ensemble) + (ensemble.base.empty() ? 0 : ensemble.base[k]);
    }
  }
  return means;
}

}  // namespace trainyard
