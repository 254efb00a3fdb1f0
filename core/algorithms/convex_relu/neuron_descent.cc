#include "core/algorithms/convex_relu/neuron_descent.h"

#include <Eigen/Core>
#include <algorithm>
#include <utility>

#include "core/algorithms/convex_relu/block_descent.h"
#include "core/algorithms/convex_relu/cone_blocks.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

constexpr int64_t kSweepsOfLook = 10;
// Rows whose other side is lower by rounding are not crossed.
constexpr double kLeastDifference = 1e-9;

class Descent {
 public:
  Descent(const ConeRows& rows, const RowLoss& loss, const NeuronDescentOptions& options,
          const std::vector<Neuron>& neurons, ThreadPool& pool,
          const std::function<absl::Status()>& check)
      : loss_(loss),
        options_(options),
        check_(check),
        patterns_(static_cast<int64_t>(neurons.size()), rows.rows()),
        products_(rows, patterns_, pool),
        predictions_(loss.size()),
        slopes_(loss.size()) {
    point_.stride = rows.stride();
    std::vector<ConeBlock> blocks;
    for (size_t i = 0; i < neurons.size(); ++i) {
      blocks.push_back({static_cast<int64_t>(i), neurons[i].sign, neurons[i].output});
      for (size_t word = 0; word < neurons[i].pattern.size(); ++word) {
        patterns_.SetWord(static_cast<int64_t>(i), static_cast<int64_t>(word),
                          neurons[i].pattern[word]);
      }
    }
    point_.Add(std::move(blocks));
    for (size_t b = 0; b < point_.blocks.size(); ++b) {
      const std::vector<double>& weights = NeuronOf(b, neurons).weights;
      std::copy(weights.begin(), weights.end(), point_.block(b));
    }
  }

  absl::StatusOr<NeuronDescentEnd> Go() {
    NeuronDescentEnd end;
    BlockDescent descent(products_, loss_, options_.lambda);
    end.objective_before = end.objective = Evaluate();
    while (end.sweeps < options_.max_sweeps) {
      TY_RETURN_IF_ERROR(descent.Sweep(check_, point_, predictions_));
      CrossRows();
      if (++end.sweeps % kSweepsOfLook != 0 && end.sweeps < options_.max_sweeps) continue;
      const double objective = Evaluate();
      const bool done = end.objective - objective < options_.least_fall * objective;
      end.objective = objective;
      if (done) break;
    }
    end.slopes.assign(slopes_.begin(), slopes_.end());
    return end;
  }

  std::vector<Neuron> Result(const std::vector<Neuron>& given) const {
    std::vector<Neuron> kept;
    for (size_t b = 0; b < point_.blocks.size(); ++b) {
      if (point_.IsZero(b)) continue;
      Neuron neuron = NeuronOf(b, given);
      neuron.weights.assign(point_.block(b), point_.block(b) + products_.rows().features());
      const uint64_t* pattern = patterns_.pattern(point_.blocks[b].pattern);
      std::copy_n(pattern, neuron.pattern.size(), neuron.pattern.begin());
      kept.push_back(std::move(neuron));
    }
    return kept;
  }

 private:
  // Patterns are numbered as the neurons.
  const Neuron& NeuronOf(size_t block, const std::vector<Neuron>& neurons) const {
    return neurons[static_cast<size_t>(point_.blocks[block].pattern)];
  }

  double Evaluate() {
    products_.Predict(point_, loss_.outputs(), predictions_.data());
    loss_.Gradient(predictions_.data(), slopes_.data());
    return loss_.Value(predictions_.data()) + options_.lambda * point_.SumOfNorms();
  }

  // A row that a step of length 1 / curvature has touched has the multiplier gamma; beyond it the
  // gradient has another sign theta_j x_j, and the step goes on where gamma curvature exceeds that.
  void CrossRows() {
    loss_.Gradient(predictions_.data(), slopes_.data());
    for (size_t b = 0; b < point_.blocks.size(); ++b) {
      if (point_.IsZero(b)) continue;
      const int64_t pattern = point_.blocks[b].pattern;
      const double* slopes = slopes_.data() + point_.blocks[b].output * loss_.rows();
      ActiveRows& active = point_.active[b];
      ActiveRows kept;
      for (size_t k = 0; k < active.rows.size(); ++k) {
        const int32_t row = active.rows[k];
        const double slope = point_.blocks[b].sign * slopes[row];
        if (active.multipliers[k] * point_.curvature[b] > slope * (1 + kLeastDifference)) {
          patterns_.SetWord(pattern, row / 64,
                            patterns_.pattern(pattern)[row / 64] ^ uint64_t{1} << (row % 64));
        } else {
          kept.rows.push_back(row);
          kept.multipliers.push_back(active.multipliers[k]);
        }
      }
      active = std::move(kept);
    }
  }

  const RowLoss& loss_;
  const NeuronDescentOptions& options_;
  const std::function<absl::Status()>& check_;
  PatternBits patterns_;
  BlockProducts products_;
  ConeWeights point_;
  Eigen::VectorXd predictions_;
  Eigen::VectorXd slopes_;
};

}  // namespace

absl::StatusOr<NeuronDescentEnd> DescendNeurons(const ConeRows& rows, const RowLoss& loss,
                                                const NeuronDescentOptions& options,
                                                std::vector<Neuron>& neurons, ThreadPool& pool,
                                                const std::function<absl::Status()>& check) {
  Descent descent(rows, loss, options, neurons, pool, check);
  TY_ASSIGN_OR_RETURN(NeuronDescentEnd end, descent.Go());
  neurons = descent.Result(neurons);
  return end;
}

}  // namespace trainyard::convex_relu
