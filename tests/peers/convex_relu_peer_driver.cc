// Solves one convex problem for the Python scripts; the request's format is explained in
// convex_relu_driver.py.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/certificate.h"
#include "core/algorithms/convex_relu/cone_blocks.h"
#include "core/algorithms/convex_relu/cpu_pattern_operator.h"
#include "core/algorithms/convex_relu/gated_solver.h"
#include "core/algorithms/convex_relu/gates.h"
#include "core/algorithms/convex_relu/relu_working_set.h"
#include "core/base/status.h"
#include "core/base/stopwatch.h"

namespace trainyard::convex_relu {
namespace {

enum : int64_t { kGated, kRelu };
enum : int64_t { kGapRule, kParityRule };

struct Request {
  int64_t rows, features, outputs, gates, loss, model, bits, rule, momentum, iterations, threads;
  double lambda, tolerance;
};

struct Problem {
  Request request;
  PaddedMatrix<double> data;
  PaddedMatrix<double> gates;
  Targets targets;
};

bool ReadMatrix(std::istream& in, PaddedMatrix<double>& matrix) {
  for (int64_t j = 0; j < matrix.rows(); ++j) {
    in.read(reinterpret_cast<char*>(matrix.row(j)), 8 * matrix.columns());
  }
  return in.good();
}

bool Read(const char* file, Problem& problem) {
  std::ifstream in(file, std::ios::binary);
  char magic[8];
  Request& r = problem.request;
  if (!in.read(magic, 8) || std::memcmp(magic, "CVXRELU1", 8) != 0) return false;
  if (!in.read(reinterpret_cast<char*>(&r), sizeof(r))) return false;
  const int columns = static_cast<int>(r.features);
  problem.data = PaddedMatrix<double>(r.rows, columns);
  PaddedMatrix<double> values(r.rows, static_cast<int>(r.outputs));
  problem.gates = PaddedMatrix<double>(r.gates, columns);
  if (!ReadMatrix(in, problem.data) || !ReadMatrix(in, values) || !ReadMatrix(in, problem.gates)) {
    return false;
  }
  problem.targets.loss = static_cast<LossKind>(r.loss);
  problem.targets.rows = r.rows;
  problem.targets.outputs = static_cast<int>(r.outputs);
  for (int o = 0; o < values.columns(); ++o) {
    for (int64_t j = 0; j < r.rows; ++j) problem.targets.values.push_back(values.row(j)[o]);
  }
  return true;
}

struct Answer {
  double objective = 0;
  double bound = 0;
  int64_t iterations = 0;
  int64_t active = 0;
  int64_t certificates = 0;
  double violation = 0;
  double subgradient = 0;
  bool reached = true;

  void Add(const GatedProgress& progress) {
    objective += progress.objective;
    bound += progress.bound;
    iterations += progress.iterations;
    active += progress.active_blocks;
    certificates += progress.certificates;
    subgradient += progress.subgradient_norm_squared;
  }
};

// The losses whose problems are apart: one for each output, or all together.
std::vector<RowLoss> LossesOf(const Problem& problem, bool together) {
  std::vector<RowLoss> losses;
  if (together || problem.targets.loss == LossKind::kSoftmax) {
    losses.emplace_back(problem.targets);
    return losses;
  }
  for (int o = 0; o < problem.targets.outputs; ++o) losses.emplace_back(problem.targets, o);
  return losses;
}

template <typename Real>
absl::StatusOr<Answer> SolveGatedProblem(const Problem& problem, BitMatrix patterns,
                                         ThreadPool& pool) {
  PaddedMatrix<Real> data(problem.data.rows(), problem.data.columns());
  for (int64_t j = 0; j < data.rows(); ++j) {
    std::transform(problem.data.row(j), problem.data.row(j) + data.columns(), data.row(j),
                   [](double value) { return static_cast<Real>(value); });
  }
  CpuPatternOperator<Real> products(data, std::move(patterns), pool);
  const Request& request = problem.request;
  const bool parity = request.rule == kParityRule;
  GatedOptions options;
  options.lambda = request.lambda;
  options.working_sets = !parity;
  options.relative_gap = parity ? -1 : request.tolerance;
  options.rfista.subgradient_tolerance = parity ? request.tolerance : -1;
  options.rfista.max_iterations = request.iterations;
  options.rfista.momentum = request.momentum == 1 ? Momentum::kRelease : Momentum::kTextbook;
  Answer answer;
  for (const RowLoss& loss : LossesOf(problem, parity)) {
    GatedState<Real> state;
    TY_ASSIGN_OR_RETURN(const SolveEnd end, SolveGated(products, loss, options, state, {}));
    answer.reached = answer.reached && (end == SolveEnd::kGap || end == SolveEnd::kSubgradient);
    answer.Add(state.progress);
  }
  return answer;
}

absl::StatusOr<Answer> SolveReluProblem(const Problem& problem, BitMatrix matrix,
                                        ThreadPool& pool) {
  CpuPatternOperator<double> products(problem.data, std::move(matrix), pool);
  const ConeRows rows(problem.data);
  PatternBits patterns(products.patterns(), products.rows());
  for (int64_t block = 0; block < products.bits().row_blocks(); ++block) {
    for (int64_t i = 0; i < patterns.patterns(); ++i) {
      patterns.SetWord(i, block, products.bits().PatternCodes(block)[i]);
    }
  }
  ReluOptions options;
  options.lambda = problem.request.lambda;
  options.relative_gap = problem.request.tolerance;
  options.max_iterations = problem.request.iterations;
  Answer answer;
  for (const RowLoss& loss : LossesOf(problem, false)) {
    ReluState state;
    TY_ASSIGN_OR_RETURN(const SolveEnd end,
                        SolveRelu(products, rows, patterns, pool, loss, options, state, {}));
    answer.reached = answer.reached && end == SolveEnd::kGap;
    answer.objective += state.progress.objective;
    answer.bound += state.progress.bound;
    answer.iterations += state.progress.iterations;
    answer.active += state.progress.active_blocks;
    answer.certificates += state.progress.certificates;
    answer.violation =
        std::max(answer.violation, MeasureViolation(rows, patterns, state.point).largest_violation);
  }
  return answer;
}

int Run(const char* file) {
  Problem problem;
  if (!Read(file, problem)) {
    std::fprintf(stderr, "%s is no request\n", file);
    return 2;
  }
  ThreadPool pool(static_cast<int>(problem.request.threads));
  const std::unique_ptr<GateSource> source = GivenGates(std::move(problem.gates));
  auto found = FindPatterns(problem.data, *source, {}, pool, nullptr);
  if (!found.ok() || found->count() != problem.request.gates) {
    std::fprintf(stderr, "the gates do not have distinct patterns\n");
    return 2;
  }
  const Stopwatch watch;
  const absl::StatusOr<Answer> solved =
      problem.request.model == kRelu ? SolveReluProblem(problem, std::move(found->patterns), pool)
      : problem.request.bits == 32
          ? SolveGatedProblem<float>(problem, std::move(found->patterns), pool)
          : SolveGatedProblem<double>(problem, std::move(found->patterns), pool);
  if (!solved.ok()) {
    std::fprintf(stderr, "%s\n", solved.status().ToString().c_str());
    return 1;
  }
  const Answer& answer = *solved;
  std::printf(
      "{\"objective\": %.17g, \"gap\": %.3g, \"iterations\": %ld, \"seconds\": %.4f, "
      "\"max_violation\": %.3g, \"subgradient_norm_squared\": %.3g, \"active\": %ld, "
      "\"certificates\": %ld, \"reached\": %s}\n",
      answer.objective, RelativeGap(answer.objective, answer.bound), answer.iterations,
      watch.Seconds(), answer.violation, answer.subgradient, answer.active, answer.certificates,
      answer.reached ? "true" : "false");
  return 0;
}

}  // namespace
}  // namespace trainyard::convex_relu

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: convex_relu_peer_driver REQUEST\n");
    return 2;
  }
  return trainyard::convex_relu::Run(argv[1]);
}
