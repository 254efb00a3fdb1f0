// Finds the optimal tree of a table and prints how the search went, as one line of JSON a run.
//
//   solve_table --table magic.csv --depth 3 --threads 2
//
// The last column, or the last --targets columns, are the target: classes where all its values are
// whole numbers and at most 20, else numbers.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/algorithms/quant_bnb/optimal_tree.h"
#include "core/base/status.h"
#include "core/data/table.h"
#include "core/trees/cart.h"
#include "proto/schema/field_rules.h"

namespace trainyard {
namespace {

struct Flags {
  std::string table;
  int64_t rows = 0;
  int targets = 1;
  int depth = 2;
  int threads = 1;
  int runs = 1;
  int quantiles = 3;
  std::string bound = "pointwise";
  std::vector<std::string> without;
  int64_t min_samples_leaf = 1;
  double split_penalty = 0;
  double time_seconds = 0;
  int64_t evaluations = 0;
  double relative_gap = 0;
  bool trajectory = false;
};

// A table's rows as the search takes them.
struct Problem {
  std::shared_ptr<const Table> table;
  std::vector<FeatureColumn> features;
  std::vector<int64_t> rows;
  std::vector<int32_t> classes;
  std::vector<double> values;
  int outputs = 1;

  OptimalTreeInput input() const {
    OptimalTreeInput input;
    input.features = features;
    input.rows = rows;
    input.classes = classes;
    input.values = values;
    input.outputs = outputs;
    return input;
  }
};

absl::StatusOr<Problem> ReadProblem(const Flags& flags) {
  Problem problem;
  TY_ASSIGN_OR_RETURN(problem.table, ReadTable(flags.table, {}, {}, flags.threads));
  const int columns = problem.table->column_count();
  if (flags.targets < 1 || flags.targets >= columns) {
    return absl::InvalidArgumentError(
        absl::StrCat("--targets is ", flags.targets, " of ", columns, " columns"));
  }
  const int features = columns - flags.targets;
  for (int c = 0; c < features; ++c) {
    if (problem.table->column(c).type() == v1::COLUMN_TYPE_CATEGORICAL) {
      const int32_t levels = static_cast<int32_t>(problem.table->levels(c).size());
      problem.features.push_back(FeatureColumn::Categorical(problem.table->codes(c), levels));
    } else {
      problem.features.push_back(FeatureColumn::Numeric(problem.table->numbers(c)));
    }
  }
  const int64_t all = problem.table->row_count();
  problem.rows.resize(static_cast<size_t>(flags.rows > 0 ? std::min(flags.rows, all) : all));
  std::iota(problem.rows.begin(), problem.rows.end(), int64_t{0});
  const std::span<const double> target = problem.table->numbers(features);
  const std::set<double> distinct(target.begin(), target.end());
  if (flags.targets == 1 && distinct.size() <= 20 &&
      std::all_of(distinct.begin(), distinct.end(),
                  [](double value) { return value >= 0 && value == std::floor(value); })) {
    for (const int64_t row : problem.rows) {
      problem.classes.push_back(static_cast<int32_t>(target[static_cast<size_t>(row)]));
    }
    problem.outputs = static_cast<int>(*distinct.rbegin()) + 1;
    return problem;
  }
  problem.outputs = flags.targets;
  for (const int64_t row : problem.rows) {
    for (int t = 0; t < flags.targets; ++t) {
      problem.values.push_back(problem.table->numbers(features + t)[static_cast<size_t>(row)]);
    }
  }
  return problem;
}

absl::StatusOr<v1::QuantBnbSpec> MakeSpec(const Flags& flags, const Problem& problem) {
  v1::QuantBnbSpec spec;
  FillDefaults(spec);
  spec.set_task(problem.classes.empty() ? v1::QuantBnbSpec::TASK_REGRESSION
                                        : v1::QuantBnbSpec::TASK_CLASSIFICATION);
  spec.set_depth(flags.depth);
  spec.set_quantiles(flags.quantiles);
  spec.set_min_samples_leaf(flags.min_samples_leaf);
  spec.set_split_penalty(flags.split_penalty);
  spec.mutable_limits()->set_time_seconds(flags.time_seconds);
  spec.mutable_limits()->set_evaluations(flags.evaluations);
  spec.mutable_limits()->set_relative_gap(flags.relative_gap);
  v1::QuantBnbSpec::Bound bound;
  if (!v1::QuantBnbSpec::Bound_Parse("BOUND_" + absl::AsciiStrToUpper(flags.bound), &bound)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--bound is ", flags.bound, "; it must be pointwise, w0, w1 or w2"));
  }
  spec.set_bound(bound);
  for (const std::string& name : flags.without) {
    v1::QuantBnbSpec::PruningRule rule;
    if (!v1::QuantBnbSpec::PruningRule_Parse("PRUNING_RULE_" + absl::AsciiStrToUpper(name),
                                             &rule)) {
      return absl::InvalidArgumentError(absl::StrCat("--without is ", name));
    }
    spec.add_disabled_rules(rule);
  }
  return spec;
}

double CpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

void PrintProgress(const SearchProgress& progress, bool better) {
  std::printf(
      "{\"seconds\": %.4f, \"incumbent\": %.12g, \"lower_bound\": %.12g, \"alive\": %lld, "
      "\"better\": %s}\n",
      progress.seconds, progress.incumbent, progress.lower_bound,
      static_cast<long long>(progress.alive), better ? "true" : "false");
}

void PrintOutcome(const Flags& flags, v1::QuantBnbReport::Status status,
                  const SearchProgress& progress, double cpu_seconds) {
  const v1::SearchCounters& counters = progress.counters;
  std::printf(
      "{\"table\": \"%s\", \"depth\": %d, \"threads\": %d, \"bound\": \"%s\", "
      "\"status\": \"%s\", \"loss\": %.12g, \"lower_bound\": %.12g, \"seconds\": %.4f, "
      "\"cpu_seconds\": %.4f, \"thresholds\": %lld, \"evaluated\": %lld, "
      "\"subproblems\": %lld, \"batches\": %lld, \"pruned\": %lld, "
      "\"screened_features\": %lld, \"alive\": [",
      flags.table.c_str(), flags.depth, flags.threads, flags.bound.c_str(),
      v1::QuantBnbReport::Status_Name(status).c_str(), progress.incumbent, progress.lower_bound,
      progress.seconds, cpu_seconds, static_cast<long long>(counters.thresholds()),
      static_cast<long long>(counters.evaluated()), static_cast<long long>(counters.subproblems()),
      static_cast<long long>(counters.batches()), static_cast<long long>(counters.pruned()),
      static_cast<long long>(counters.screened_features()));
  for (int i = 0; i < counters.alive_size(); ++i) {
    std::printf("%s%.6g", i > 0 ? ", " : "", counters.alive(i));
  }
  std::printf("]}\n");
}

// A greedy tree to start from.
absl::StatusOr<Tree> GrowStart(const OptimalTreeInput& input, const Flags& flags,
                               ThreadPool& pool) {
  v1::CartOptions options;
  FillDefaults(options);
  options.set_max_depth(flags.depth);
  options.set_min_samples_leaf(static_cast<int32_t>(flags.min_samples_leaf));
  TY_ASSIGN_OR_RETURN(const PresortedFeatures features,
                      PresortedFeatures::Build(input.features, input.rows, pool, {}));
  const TreeTarget target = input.classification()
                                ? TreeTarget::Classification(input.classes, input.outputs)
                                : TreeTarget::Regression(input.values, input.outputs);
  std::vector<uint32_t> rows(input.rows.size());
  std::iota(rows.begin(), rows.end(), uint32_t{0});
  return GrowCart(features, target, {}, rows, ResolveCart(options, target), pool, {});
}

absl::Status Solve(const Flags& flags) {
  TY_ASSIGN_OR_RETURN(const Problem table, ReadProblem(flags));
  TY_ASSIGN_OR_RETURN(const v1::QuantBnbSpec spec, MakeSpec(flags, table));
  const OptimalTreeInput input = table.input();
  ThreadPool pool(flags.threads);
  for (int run = 0; run < flags.runs; ++run) {
    const double start = CpuSeconds();
    TY_ASSIGN_OR_RETURN(const Tree first, GrowStart(input, flags, pool));
    SearchHooks hooks;
    if (flags.trajectory) {
      hooks.report = [](const SearchProgress& progress, const Tree* better) {
        PrintProgress(progress, better != nullptr);
      };
    }
    TY_ASSIGN_OR_RETURN(const OptimalTree found, FindOptimalTree(input, spec, &first, pool, hooks));
    PrintOutcome(flags, found.status, found.progress, CpuSeconds() - start);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace trainyard

int main(int argc, char** argv) {
  trainyard::Flags flags;
  CLI::App app("Finds the optimal tree of a table.");
  app.add_option("--table", flags.table, "CSV file")->required();
  app.add_option("--rows", flags.rows, "the first so many rows; 0: all");
  app.add_option("--targets", flags.targets, "number of target columns, the last ones");
  app.add_option("--depth", flags.depth);
  app.add_option("--threads", flags.threads);
  app.add_option("--runs", flags.runs, "times that the search is run");
  app.add_option("--bound", flags.bound, "pointwise, w0, w1 or w2");
  app.add_option("--quantiles", flags.quantiles);
  app.add_option("--without", flags.without, "pruning rules to do without, such as interval");
  app.add_option("--min_samples_leaf", flags.min_samples_leaf);
  app.add_option("--split_penalty", flags.split_penalty);
  app.add_option("--time_seconds", flags.time_seconds);
  app.add_option("--evaluations", flags.evaluations);
  app.add_option("--relative_gap", flags.relative_gap);
  app.add_flag("--trajectory", flags.trajectory, "print every report");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = trainyard::Solve(flags);
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
