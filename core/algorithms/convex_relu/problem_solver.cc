#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "core/algorithms/convex_relu/cpu_pattern_operator.h"
#include "core/algorithms/convex_relu/pattern_bits.h"
#include "core/algorithms/convex_relu/relu_part.h"
#include "core/algorithms/convex_relu/training_problem.h"

namespace trainyard::convex_relu {
namespace {

using Spec = v1::ConvexReluSpec;
using Solver = v1::ConvexReluSolver;

RegularizerKind PenaltyOf(const Spec& spec) {
  switch (spec.penalty()) {
    case Spec::PENALTY_SQUARED_L2:
      return RegularizerKind::kSquaredL2;
    case Spec::PENALTY_L1:
      return RegularizerKind::kL1;
    case Spec::PENALTY_FEATURE_GROUP_L1:
      return RegularizerKind::kFeatureGroupL1;
    case Spec::PENALTY_NONE:
      return RegularizerKind::kNone;
    default:
      return RegularizerKind::kGroupL1;
  }
}

RFistaOptions RulesOf(const Solver& solver) {
  RFistaOptions rules;
  rules.momentum = solver.momentum() == Solver::MOMENTUM_RELEASE ? Momentum::kRelease
                   : solver.momentum() == Solver::MOMENTUM_NONE  ? Momentum::kNone
                                                                 : Momentum::kTextbook;
  rules.restart = solver.restart();
  rules.initial_step = solver.initial_step();
  rules.subgradient_tolerance =
      solver.stop_rule() == Solver::STOP_RULE_SUBGRADIENT ? solver.subgradient_tolerance() : -1;
  rules.max_iterations = solver.max_iterations();
  return rules;
}

GatedOptions OptionsOf(const Spec& spec, double data_norm) {
  GatedOptions options;
  options.regularizer = PenaltyOf(spec);
  options.working_sets = spec.solver().method() == Solver::METHOD_WORKING_SETS;
  options.relative_gap =
      spec.solver().stop_rule() == Solver::STOP_RULE_GAP ? spec.solver().relative_gap() : -1;
  options.data_norm = data_norm;
  options.rfista = RulesOf(spec.solver());
  return options;
}

template <typename Real>
PaddedMatrix<Real> CopyOf(const PaddedMatrix<double>& from) {
  PaddedMatrix<Real> copy(from.rows(), from.columns());
  for (int64_t j = 0; j < from.rows(); ++j) {
    std::transform(from.row(j), from.row(j) + from.columns(), copy.row(j),
                   [](double value) { return static_cast<Real>(value); });
  }
  return copy;
}

// The losses of a problem's parts, with the outputs that each has.
std::vector<std::pair<RowLoss, int>> LossesOf(const Targets& targets) {
  std::vector<std::pair<RowLoss, int>> losses;
  if (targets.loss == LossKind::kSoftmax) {
    losses.emplace_back(RowLoss(targets), targets.outputs);
    return losses;
  }
  for (int o = 0; o < targets.outputs; ++o) losses.emplace_back(RowLoss(targets, o), 1);
  return losses;
}

template <typename Real>
class GatedProblemSolver final : public ProblemSolver {
 public:
  GatedProblemSolver(const Spec& spec, TrainingProblem& problem, ThreadPool& pool,
                     std::function<bool()> stopped)
      : products_(CopyOf<Real>(problem.data()), problem.TakePatterns(), pool),
        fit_(PartsOf(spec, problem)) {
    products_.StopWhen(std::move(stopped));
  }

  Fit& fit() override { return fit_; }
  const BitMatrix& patterns() const override { return products_.bits(); }
  ProductWork work() const override { return products_.work(); }

 private:
  std::vector<Fit::Part> PartsOf(const Spec& spec, const TrainingProblem& problem) {
    const GatedOptions options = OptionsOf(spec, problem.data_norm());
    const bool least_squares = spec.solver().method() == Solver::METHOD_LEAST_SQUARES;
    std::vector<Fit::Part> parts;
    for (auto& [loss, outputs] : LossesOf(problem.targets())) {
      parts.push_back({least_squares ? MakeLeastSquaresPart<Real>(products_, loss, options)
                                     : MakeGatedPart<Real>(products_, loss, options),
                       outputs});
    }
    return parts;
  }

  CpuPatternOperator<Real> products_;
  Fit fit_;
};

PatternBits BitsOf(const BitMatrix& matrix) {
  PatternBits bits(matrix.patterns(), matrix.rows());
  for (int64_t block = 0; block < matrix.row_blocks(); ++block) {
    const uint64_t* codes = matrix.PatternCodes(block);
    for (int64_t i = 0; i < matrix.patterns(); ++i) bits.SetWord(i, block, codes[i]);
  }
  return bits;
}

// In double: constraints are of no use in single precision.
class ReluProblemSolver final : public ProblemSolver {
 public:
  ReluProblemSolver(const Spec& spec, TrainingProblem& problem, ThreadPool& pool,
                    std::function<bool()> stopped)
      : products_(problem.data(), problem.TakePatterns(), pool),
        rows_(problem.data()),
        patterns_(BitsOf(products_.bits())),
        fit_(PartsOf(spec, problem, pool)) {
    products_.StopWhen(std::move(stopped));
  }

  Fit& fit() override { return fit_; }
  const BitMatrix& patterns() const override { return products_.bits(); }
  ProductWork work() const override { return products_.work(); }

 private:
  std::vector<Fit::Part> PartsOf(const Spec& spec, const TrainingProblem& problem,
                                 ThreadPool& pool) {
    const ConeProblem cones{products_, rows_, patterns_, pool, problem.gates()};
    std::vector<Fit::Part> parts;
    for (auto& [loss, outputs] : LossesOf(problem.targets())) {
      parts.push_back({PartOf(spec, problem, cones, loss), outputs});
    }
    return parts;
  }

  static std::unique_ptr<PartSolver> PartOf(const Spec& spec, const TrainingProblem& problem,
                                            const ConeProblem& cones, const RowLoss& loss) {
    const Solver& solver = spec.solver();
    const double gap = solver.stop_rule() == Solver::STOP_RULE_GAP ? solver.relative_gap() : -1;
    if (solver.method() == Solver::METHOD_AUGMENTED_LAGRANGIAN) {
      LagrangianOptions options;
      options.delta = solver.initial_penalty() / static_cast<double>(problem.data().rows());
      options.tolerance = solver.subgradient_tolerance();
      options.release_rules = solver.release_rules();
      options.max_iterations = solver.max_iterations();
      options.rfista = RulesOf(solver);
      return MakeLagrangianPart(cones, loss, options, gap);
    }
    if (solver.method() == Solver::METHOD_CONE_DECOMPOSITION) {
      GatedOptions options = OptionsOf(spec, problem.data_norm());
      options.working_sets = gap > 0;
      DecompositionOptions decomposition;
      decomposition.method = solver.decomposition() == Solver::DECOMPOSITION_APPROXIMATE
                                 ? DecompositionMethod::kApproximate
                             : solver.decomposition() == Solver::DECOMPOSITION_GATE_SHIFT
                                 ? DecompositionMethod::kGateShift
                                 : DecompositionMethod::kExact;
      return MakeDecompositionPart(cones, loss, options, decomposition);
    }
    ReluOptions options;
    options.relative_gap = gap;
    options.max_iterations = solver.max_iterations();
    return MakeReluPart(cones, loss, options);
  }

  CpuPatternOperator<double> products_;
  const ConeRows rows_;
  const PatternBits patterns_;
  Fit fit_;
};

}  // namespace

std::unique_ptr<ProblemSolver> MakeProblemSolver(const Spec& spec, TrainingProblem& problem,
                                                 ThreadPool& pool, std::function<bool()> stopped) {
  if (spec.model() == Spec::MODEL_RELU) {
    return std::make_unique<ReluProblemSolver>(spec, problem, pool, std::move(stopped));
  }
  if (spec.precision() == Spec::PRECISION_SINGLE) {
    return std::make_unique<GatedProblemSolver<float>>(spec, problem, pool, std::move(stopped));
  }
  return std::make_unique<GatedProblemSolver<double>>(spec, problem, pool, std::move(stopped));
}

}  // namespace trainyard::convex_relu
