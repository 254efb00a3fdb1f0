#include "core/algorithms/convex_relu/gate_search.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <iterator>
#include <numeric>
#include <utility>

#include "core/algorithms/convex_relu/cell_ascent.h"
#include "core/algorithms/convex_relu/distinct_columns.h"
#include "core/algorithms/convex_relu/gate_circle.h"
#include "core/base/random.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

// Vectors of each kind that are looked at, for each search that is begun.
constexpr int64_t kLooks = 2;
// Cells that one search may go through, and circles, of which so many in vain end it.
constexpr int kMostCells = 50;
constexpr int kMostCircles = 30;
constexpr int kPatience = 6;

// In one order: sums over vectors that lie anywhere depend on where they lie.
double NormOf(std::span<const double> vector) {
  double largest = 0;
  for (const double entry : vector) largest = std::max(largest, std::abs(entry));
  if (!(largest > 0)) return 0;
  double squares = 0;
  for (const double entry : vector) squares += entry / largest * (entry / largest);
  return largest * std::sqrt(squares);
}

class Search {
 public:
  Search(const ConeRows& rows, const BitMatrix& known, std::span<const double> slopes,
         const GateSearchOptions& options, ThreadPool& pool, const WorkCheck& check)
      : rows_(rows),
        known_(known),
        slopes_(slopes),
        options_(options),
        pool_(pool),
        check_(check),
        outputs_(static_cast<int>(static_cast<int64_t>(slopes.size()) / rows.rows())),
        ascent_(rows.data(), slopes.data(), options.kind, pool),
        stopped_([this] { return check_ && !check_().ok(); }) {}

  absl::StatusOr<FoundGates> Run(const PaddedMatrix<double>& gates,
                                 std::span<const GateStart> neurons) {
    for (int output = 0; output < outputs_; ++output) {
      TY_RETURN_IF_ERROR(Draw(output, gates));
    }
    const bool relu = options_.kind == AscentKind::kRelu;
    if (!relu) AddNeurons(neurons);
    TY_RETURN_IF_ERROR(ascent_.Climb(options_.iterations, points_, check_));
    // The best go on; there is no use for more than can be taken, but some end in the same place.
    SortPoints();
    const int64_t going = std::max(kLooks * options_.most, options_.starts);
    points_.resize(std::min(points_.size(), static_cast<size_t>(going)));
    if (relu) AddNeurons(neurons);  // which are at maxima of their cones
    TY_RETURN_IF_ERROR(Finish());
    return Choose();
  }

 private:
  // Begins the searches of one output: half of them at the best vectors by a step of the power
  // method, half at any, as narrow maxima are not near the best.
  absl::Status Draw(int output, const PaddedMatrix<double>& gates) {
    std::vector<AscentPoint> points;
    const auto add = [&](std::span<const double> gate) {
      for (const int sign : {1, -1}) {
        if (sign < 0 && options_.kind == AscentKind::kGated) break;
        AscentPoint point = PointOf(output, sign, gate);
        if (!point.gate.empty()) points.push_back(std::move(point));
      }
    };
    Rng random(options_.seed, static_cast<uint64_t>(output));
    const int64_t looks = kLooks * options_.starts;
    AddSome(gates, looks, random, add);
    AddSome(rows_.data(), looks, random, add);
    std::vector<double> gate(static_cast<size_t>(rows_.features()));
    for (int64_t i = 0; i < looks; ++i) {
      for (double& entry : gate) entry = random.NextGaussian();
      add(gate);
    }
    KeepSome(points, random);
    TY_RETURN_IF_ERROR(KeepBest(points));
    return absl::OkStatus();
  }

  void KeepSome(const std::vector<AscentPoint>& points, Rng& random) {
    std::vector<size_t> order(points.size());
    std::iota(order.begin(), order.end(), size_t{0});
    random.Shuffle(std::span(order));
    order.resize(std::min(order.size(), static_cast<size_t>(options_.starts / 2)));
    for (const size_t index : order) {
      points_.push_back(points[index]);
      points_.back().step = AscentPoint::kShortStep;
    }
  }

  absl::Status KeepBest(std::vector<AscentPoint>& points) {
    TY_RETURN_IF_ERROR(ascent_.Evaluate(true, points, check_));
    std::stable_sort(points.begin(), points.end(),
                     [](const AscentPoint& a, const AscentPoint& b) { return a.value > b.value; });
    points.resize(
        std::min(points.size(), static_cast<size_t>(options_.starts - options_.starts / 2)));
    std::move(points.begin(), points.end(), std::back_inserter(points_));
    return absl::OkStatus();
  }

  void AddNeurons(std::span<const GateStart> neurons) {
    for (const GateStart& neuron : neurons) {
      AscentPoint point = PointOf(neuron.output, neuron.sign, neuron.gate);
      if (!point.gate.empty()) points_.push_back(std::move(point));
    }
  }

  // All rows of a matrix, or as many random ones.
  template <typename Add>
  static void AddSome(const PaddedMatrix<double>& matrix, int64_t most, Rng& random,
                      const Add& add) {
    for (int64_t i = 0; i < std::min(most, matrix.rows()); ++i) {
      const int64_t row =
          matrix.rows() <= most
              ? i
              : static_cast<int64_t>(random.UniformInt(static_cast<uint64_t>(matrix.rows())));
      add(std::span(matrix.row(row), static_cast<size_t>(matrix.columns())));
    }
  }

  // Of norm 1; without a gate where that is zero.
  AscentPoint PointOf(int output, int sign, std::span<const double> gate) const {
    AscentPoint point;
    point.output = output;
    point.sign = sign;
    const double norm = NormOf(gate);
    if (!(norm > 0)) return point;
    point.gate.assign(static_cast<size_t>(rows_.stride()), 0.0);
    for (size_t k = 0; k < gate.size(); ++k) point.gate[k] = gate[k] / norm;
    return point;
  }

  void SortPoints() {
    std::stable_sort(points_.begin(), points_.end(),
                     [](const AscentPoint& a, const AscentPoint& b) { return a.value > b.value; });
  }

  // From each point to a local maximum.
  absl::Status Finish() {
    found_.resize(points_.size());
    std::vector<CellAscent> cells;
    std::vector<CircleSearch> circles;
    for (int thread = 0; thread < pool_.threads(); ++thread) {
      if (options_.kind == AscentKind::kRelu) cells.emplace_back(rows_);
      if (options_.kind == AscentKind::kGated) circles.emplace_back(rows_);
    }
    std::atomic<bool> stopped = false;
    pool_.Run(static_cast<int64_t>(points_.size()), [&](int64_t index, int thread) {
      if (stopped.load(std::memory_order_relaxed)) return;
      if (stopped_()) {
        stopped = true;
        return;
      }
      const size_t at = static_cast<size_t>(thread);
      if (options_.kind == AscentKind::kRelu) {
        FinishRelu(static_cast<size_t>(index), cells[at]);
      } else {
        FinishGated(static_cast<size_t>(index), circles[at]);
      }
    });
    return check_ ? check_() : absl::OkStatus();
  }

  const double* SlopesOf(int output) const { return slopes_.data() + output * rows_.rows(); }

  void FinishRelu(size_t index, CellAscent& cells) {
    const AscentPoint& point = points_[index];
    CellMaximum maximum =
        cells.Climb(SlopesOf(point.output), point.sign, point.gate.data(), kMostCells, stopped_);
    maximum.vector.resize(std::min(maximum.vector.size(), static_cast<size_t>(rows_.features())));
    found_[index] = {point.output, point.sign, maximum.value, std::move(maximum.vector),
                     std::move(maximum.pattern)};
  }

  void FinishGated(size_t index, CircleSearch& circles) {
    AscentPoint& point = points_[index];
    Rng random(options_.seed, 1'000'000 + index);
    const double norm = circles.Improve(SlopesOf(point.output), kPatience, kMostCircles, random,
                                        stopped_, point.gate.data());
    FoundGate& found = found_[index];
    found = {point.output, 1, norm, std::move(point.gate), {}};
    found.pattern.resize(static_cast<size_t>(BitBlocks(rows_.rows())));
    Eigen::VectorXd gate =
        Eigen::Map<const Eigen::VectorXd, Eigen::Unaligned>(found.gate.data(), rows_.stride());
    Eigen::VectorXd products(rows_.rows());
    rows_.Multiply(gate.data(), products.data());
    for (int64_t j = 0; j < rows_.rows(); ++j) {
      if (products[j] > 0) found.pattern[static_cast<size_t>(j / 64)] |= uint64_t{1} << (j % 64);
    }
    found.gate.resize(static_cast<size_t>(rows_.features()));
  }

  FoundGates Choose() {
    std::stable_sort(found_.begin(), found_.end(),
                     [](const FoundGate& a, const FoundGate& b) { return a.norm > b.norm; });
    FoundGates result;
    if (!found_.empty()) result.largest_norm = found_.front().norm;
    DistinctColumns distinct(rows_.rows());
    const std::vector<uint64_t> known = known_.Columns();
    for (int64_t i = 0; i < known_.patterns(); ++i) {
      distinct.Insert(known.data() + i * known_.row_blocks());
    }
    for (FoundGate& found : found_) {
      if (found.norm <= options_.lambda * (1 + options_.least_excess)) break;
      if (static_cast<int64_t>(result.violators.size()) == options_.most) break;
      if (distinct.Insert(found.pattern.data())) result.violators.push_back(std::move(found));
    }
    return result;
  }

  const ConeRows& rows_;
  const BitMatrix& known_;
  const std::span<const double> slopes_;
  const GateSearchOptions& options_;
  ThreadPool& pool_;
  const WorkCheck& check_;
  const int outputs_;
  const GateAscent ascent_;
  const std::function<bool()> stopped_;
  std::vector<AscentPoint> points_;
  std::vector<FoundGate> found_;
};

}  // namespace

absl::StatusOr<FoundGates> SearchGates(const ConeRows& rows, const BitMatrix& known,
                                       const PaddedMatrix<double>& gates,
                                       std::span<const GateStart> neurons,
                                       std::span<const double> slopes,
                                       const GateSearchOptions& options, ThreadPool& pool,
                                       const WorkCheck& check) {
  return Search(rows, known, slopes, options, pool, check).Run(gates, neurons);
}

}  // namespace trainyard::convex_relu
