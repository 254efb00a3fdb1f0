#include "core/algorithms/convex_relu/comparison.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "core/algorithms/convex_relu/network_model.h"
#include "core/algorithms/convex_relu/network_predictor.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

using Comparison = v1::ConvexReluComparison;

constexpr int64_t kLeastWidth = 10;

NetworkLoss LossOf(LossKind loss) {
  switch (loss) {
    case LossKind::kLogistic:
      return NetworkLoss::kLogistic;
    case LossKind::kSoftmax:
      return NetworkLoss::kSoftmax;
    case LossKind::kSquared:
      break;
  }
  return NetworkLoss::kSquared;
}

class Descents {
 public:
  Descents(const v1::ConvexReluSpec& spec, const TrainingProblem& problem,
           const LearningTable& data, const FitResult& solution, ThreadPool& pool,
           const ComparisonHooks& hooks)
      : spec_(spec),
        problem_(problem),
        data_(data),
        solution_(solution),
        pool_(pool),
        hooks_(hooks),
        features_(problem.data().rows(), problem.data().columns()),
        targets_(problem.targets().values.begin(), problem.targets().values.end()),
        weights_(problem.targets().weights.begin(), problem.targets().weights.end()) {
    for (int64_t j = 0; j < features_.rows(); ++j) {
      std::transform(problem.data().row(j), problem.data().row(j) + features_.columns(),
                     features_.row(j), [](double value) { return static_cast<float>(value); });
    }
  }

  absl::StatusOr<std::vector<v1::ConvexReluDescent>> Run() {
    const NonconvexOptions options = Options();
    const bool gated = spec_.model() == v1::ConvexReluSpec::MODEL_GATED_RELU;
    if (gated) ChooseGates(options.neurons);
    NetworkData network;
    network.features = &features_;
    network.outputs = problem_.targets().outputs;
    network.targets = targets_;
    network.row_weights = weights_;
    network.loss = LossOf(problem_.targets().loss);
    TY_ASSIGN_OR_RETURN(const std::vector<NonconvexRun> runs,
                        TrainNonconvex(network, gated ? &gates_ : nullptr, options,
                                       {hooks_.check, hooks_.report, nullptr}, pool_));
    std::vector<v1::ConvexReluDescent> descents;
    for (const NonconvexRun& run : runs) {
      TY_ASSIGN_OR_RETURN(v1::ConvexReluDescent descent, Describe(run, gated));
      descents.push_back(std::move(descent));
    }
    return descents;
  }

 private:
  NonconvexOptions Options() const {
    const Comparison& comparison = spec_.comparison();
    NonconvexOptions options;
    options.neurons = comparison.width() > 0
                          ? comparison.width()
                          : std::max(kLeastWidth, static_cast<int64_t>(solution_.blocks.size()));
    options.penalty = solution_.lambda;
    for (const int optimizer : comparison.optimizers()) {
      OptimizerTrial trial;
      const bool sgd = optimizer == Comparison::OPTIMIZER_SGD;
      trial.settings.kind = sgd ? OptimizerKind::kSgd : OptimizerKind::kAdam;
      const auto& steps = sgd ? comparison.sgd_steps() : comparison.adam_steps();
      trial.steps.assign(steps.begin(), steps.end());
      options.trials.push_back(std::move(trial));
    }
    for (int seed = 0; seed < comparison.seeds(); ++seed) {
      options.seeds.push_back(static_cast<uint64_t>(seed));
    }
    options.epochs = comparison.epochs();
    options.batch_fraction = comparison.batch_fraction();
    options.decay_epochs = comparison.decay_epochs();
    options.record_epochs = std::max(comparison.epochs() / 20, 1);
    return options;
  }

  // The solution's patterns first, then others in their order.
  void ChooseGates(int64_t count) {
    std::set<int64_t> used;
    for (const FitBlock& block : solution_.blocks) used.insert(block.pattern);
    std::vector<int64_t> chosen(used.begin(), used.end());
    for (int64_t i = 0; i < problem_.patterns(); ++i) {
      if (!used.contains(i)) chosen.push_back(i);
    }
    chosen.resize(static_cast<size_t>(std::min(count, problem_.patterns())));
    gates_ = PaddedMatrix<float>(static_cast<int64_t>(chosen.size()), features_.columns());
    for (size_t i = 0; i < chosen.size(); ++i) {
      const double* gate = problem_.gates().row(chosen[i]);
      std::transform(gate, gate + features_.columns(), gates_.row(static_cast<int64_t>(i)),
                     [](double value) { return static_cast<float>(value); });
    }
    chosen_ = std::move(chosen);
  }

  absl::StatusOr<v1::ConvexReluDescent> Describe(const NonconvexRun& run, bool gated) const {
    v1::ConvexReluDescent descent;
    descent.set_optimizer(spec_.comparison().optimizers(static_cast<int>(run.trial)));
    descent.set_step_size(run.step);
    descent.set_seed(static_cast<int32_t>(run.seed));
    descent.set_objective(run.objective);
    descent.set_diverged(run.diverged);
    descent.set_seconds(run.seconds);
    if (run.diverged) return descent;
    TY_ASSIGN_OR_RETURN(const NetworkModel model, ModelOf(run.weights, gated));
    TY_ASSIGN_OR_RETURN(const DenseColumns columns, model.encoder.Bind(*data_.table));
    const std::vector<int64_t>& held_out =
        data_.split.test.empty() ? data_.split.validation : data_.split.test;
    TY_ASSIGN_OR_RETURN(const auto train,
                        MeasureRows(model, columns, data_, data_.split.train, pool_, hooks_.check));
    TY_ASSIGN_OR_RETURN(const auto test,
                        MeasureRows(model, columns, data_, held_out, pool_, hooks_.check));
    descent.mutable_train_metrics()->insert(train.begin(), train.end());
    descent.mutable_test_metrics()->insert(test.begin(), test.end());
    return descent;
  }

  // Networks with several outputs for each neuron, as neurons of one output each.
  absl::StatusOr<NetworkModel> ModelOf(const NetworkWeights<float>& weights, bool gated) const {
    TY_ASSIGN_OR_RETURN(NetworkModel empty, problem_.ModelOf({}));
    TwoLayerNetwork network = empty.network;
    const size_t width = static_cast<size_t>(network.inputs);
    for (int o = 0; o < network.outputs; ++o) {
      for (int64_t i = 0; i < weights.first.rows(); ++i) {
        network.neuron_outputs.push_back(o);
        network.output_weights.push_back(static_cast<double>(weights.second.row(o)[i]));
        AppendUnscaled(weights.first.row(i), width, network.hidden_weights, network.hidden_bias);
        if (!gated) continue;
        const double* gate = problem_.gates().row(chosen_[static_cast<size_t>(i)]);
        AppendUnscaled(gate, width, network.gates, network.gate_bias);
      }
    }
    return MakeNetworkModel(std::move(empty.description), std::move(network));
  }

  template <typename Real>
  void AppendUnscaled(const Real* scaled, size_t width, std::vector<double>& weights,
                      std::vector<double>& bias) const {
    const std::vector<double>& norms = problem_.norms();
    for (size_t k = 0; k < width; ++k) {
      weights.push_back(norms[k] > 0 ? static_cast<double>(scaled[k]) / norms[k] : 0);
    }
    bias.push_back(problem_.has_bias() ? static_cast<double>(scaled[width]) / norms.back() : 0);
  }

  const v1::ConvexReluSpec& spec_;
  const TrainingProblem& problem_;
  const LearningTable& data_;
  const FitResult& solution_;
  ThreadPool& pool_;
  const ComparisonHooks& hooks_;
  PaddedMatrix<float> features_;
  const std::vector<float> targets_;
  const std::vector<float> weights_;
  PaddedMatrix<float> gates_;
  std::vector<int64_t> chosen_;
};

}  // namespace

absl::StatusOr<std::vector<v1::ConvexReluDescent>> CompareWithDescent(
    const v1::ConvexReluSpec& spec, const TrainingProblem& problem, const LearningTable& data,
    const FitResult& solution, ThreadPool& pool, const ComparisonHooks& hooks) {
  return Descents(spec, problem, data, solution, pool, hooks).Run();
}

}  // namespace trainyard::convex_relu
