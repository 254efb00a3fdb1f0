#include "core/algorithms/convex_relu/resolve.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/algorithms/table_task.h"

namespace trainyard {
namespace {

using Spec = v1::ConvexReluSpec;
using Gates = v1::ConvexReluGates;
using Solver = v1::ConvexReluSolver;
using Path = v1::ConvexReluPath;

bool HasPath(const Spec& spec) {
  return spec.path().points() > 0 || spec.path().lambdas_size() > 0;
}

void FillChoices(const v1::TableSchema& schema, const TableColumns& columns, Spec& spec) {
  if (spec.model() == Spec::MODEL_UNSPECIFIED) spec.set_model(Spec::MODEL_RELU);
  if (spec.loss() == Spec::LOSS_UNSPECIFIED) spec.set_loss(Spec::LOSS_SQUARED);
  if (spec.penalty() == Spec::PENALTY_UNSPECIFIED) spec.set_penalty(Spec::PENALTY_GROUP_L1);
  if (spec.scaling() == Spec::SCALING_UNSPECIFIED) spec.set_scaling(Spec::SCALING_STANDARDIZED);
  if (spec.precision() == Spec::PRECISION_UNSPECIFIED) {
    const bool small =
        schema.row_count() * (EncodedColumns(schema, columns) + 1) <= kMostDoubleNumbers;
    spec.set_precision(small ? Spec::PRECISION_DOUBLE : Spec::PRECISION_SINGLE);
  }
  if (!HasPath(spec) && !spec.has_lambda() && !spec.has_lambda_ratio() &&
      spec.penalty() != Spec::PENALTY_NONE && spec.penalty() != Spec::PENALTY_SQUARED_L2) {
    spec.set_lambda_ratio(0.05);
  }
}

void FillGates(Gates& gates) {
  if (gates.sampler() != Gates::SAMPLER_UNSPECIFIED) return;
  gates.set_sampler(gates.dataset().empty() ? Gates::SAMPLER_GAUSSIAN : Gates::SAMPLER_UPLOADED);
}

void FillSolver(const Spec& spec, Solver& solver) {
  if (solver.method() == Solver::METHOD_UNSPECIFIED) {
    const bool ridge =
        spec.penalty() == Spec::PENALTY_SQUARED_L2 || spec.penalty() == Spec::PENALTY_NONE;
    solver.set_method(ridge && spec.loss() == Spec::LOSS_SQUARED ? Solver::METHOD_LEAST_SQUARES
                      : spec.penalty() == Spec::PENALTY_GROUP_L1 ? Solver::METHOD_WORKING_SETS
                                                                 : Solver::METHOD_R_FISTA);
  }
  if (solver.stop_rule() == Solver::STOP_RULE_UNSPECIFIED) {
    solver.set_stop_rule(spec.penalty() == Spec::PENALTY_NONE || solver.release_rules()
                             ? Solver::STOP_RULE_SUBGRADIENT
                             : Solver::STOP_RULE_GAP);
  }
  if (!solver.has_relative_gap()) {
    solver.set_relative_gap(spec.precision() == Spec::PRECISION_SINGLE ? 1e-4 : 1e-6);
  }
  if (solver.method() == Solver::METHOD_CONE_DECOMPOSITION &&
      solver.decomposition() == Solver::DECOMPOSITION_UNSPECIFIED) {
    solver.set_decomposition(Solver::DECOMPOSITION_MIN_NORM);
  }
}

// Rounds of a search that is not asked for.
constexpr int kDefaultRounds = 3;

void FillSearch(const Spec& spec, v1::ConvexReluGateSearch& search) {
  if (search.has_rounds()) return;
  const bool pays = spec.model() == Spec::MODEL_RELU &&
                    spec.solver().method() == Solver::METHOD_WORKING_SETS &&
                    spec.gates().sampler() != Gates::SAMPLER_UPLOADED;
  search.set_rounds(pays ? kDefaultRounds : 0);
}

void FillPath(const Spec& spec, Path& path) {
  if (!HasPath(spec) || path.selection() != Path::SELECTION_UNSPECIFIED) return;
  path.set_selection(path.folds() > 0 ? Path::SELECTION_ONE_STANDARD_ERROR
                     : spec.input().split().validation_fraction() > 0 ? Path::SELECTION_MINIMUM
                                                                      : Path::SELECTION_SMALLEST);
}

// Checks the fields after `input` and `task`, all choices being made.
class OptionsChecker {
 public:
  OptionsChecker(const v1::TableSchema& schema, const TableColumns& columns, std::string_view path,
                 const Spec& spec, Violations& violations)
      : schema_(schema), columns_(columns), path_(path), spec_(spec), violations_(violations) {}

  void Run() {
    CheckModel();
    CheckLambda();
    CheckGates();
    CheckMethod();
    CheckStopRule();
    CheckSearch();
    CheckPath();
    CheckComparison();
  }

 private:
  void Add(absl::string_view field, const std::string& description) {
    violations_.Add(absl::StrCat(absl::string_view(path_.data(), path_.size()), ".", field),
                    description);
  }

  void CheckModel() {
    if (spec_.task() == Spec::TASK_REGRESSION && spec_.loss() != Spec::LOSS_SQUARED) {
      Add("loss",
          absl::StrCat("is ", Spec::Loss_Name(spec_.loss()), "; a regression has LOSS_SQUARED"));
    }
    if (spec_.model() != Spec::MODEL_RELU) return;
    if (spec_.penalty() != Spec::PENALTY_GROUP_L1) {
      Add("penalty", absl::StrCat("is ", Spec::Penalty_Name(spec_.penalty()),
                                  "; with MODEL_RELU it must be PENALTY_GROUP_L1"));
    }
  }

  void CheckLambda() {
    const bool none = spec_.penalty() == Spec::PENALTY_NONE;
    if (spec_.has_lambda() && spec_.has_lambda_ratio()) {
      Add("lambda_ratio",
          absl::StrCat("is ", spec_.lambda_ratio(), "; not to be given beside lambda, which is ",
                       spec_.lambda()));
    }
    if (none && (spec_.has_lambda() || spec_.has_lambda_ratio() || HasPath(spec_))) {
      Add("penalty", "is PENALTY_NONE, which has neither lambda nor a path");
    }
    if (HasPath(spec_) && (spec_.has_lambda() || spec_.has_lambda_ratio())) {
      Add(spec_.has_lambda() ? "lambda" : "lambda_ratio",
          "is given beside a path, which has penalties of its own");
    }
    if (spec_.penalty() != Spec::PENALTY_SQUARED_L2) return;
    if (spec_.has_lambda_ratio()) {
      Add("lambda_ratio", absl::StrCat("is ", spec_.lambda_ratio(),
                                       "; no PENALTY_SQUARED_L2 makes all weights zero: give "
                                       "lambda"));
    } else if (!spec_.has_lambda() && spec_.path().lambdas_size() == 0) {
      Add("lambda", "is not given; PENALTY_SQUARED_L2 needs it (or path.lambdas)");
    }
  }

  void CheckGates() {
    const Gates& gates = spec_.gates();
    const bool uploaded = gates.sampler() == Gates::SAMPLER_UPLOADED;
    if (uploaded && gates.dataset().empty()) {
      Add("gates.dataset", "is empty; SAMPLER_UPLOADED needs it");
    }
    if (!uploaded && !gates.dataset().empty()) {
      Add("gates.sampler", absl::StrCat("is ", Gates::Sampler_Name(gates.sampler()),
                                        "; with gates.dataset it must be SAMPLER_UPLOADED"));
    }
    if (uploaded && !spec_.bias() && spec_.scaling() == Spec::SCALING_STANDARDIZED) {
      Add("bias", "is false; with SAMPLER_UPLOADED and SCALING_STANDARDIZED it must be true");
    }
    if (gates.has_active_proportion() && !spec_.bias()) {
      Add("gates.active_proportion",
          absl::StrCat("is ", gates.active_proportion(), ", which needs bias to be true"));
    }
    if (gates.sampler() == Gates::SAMPLER_CONVOLUTIONAL) CheckImage();
  }

  void CheckImage() {
    const Gates& gates = spec_.gates();
    const int64_t pixels = int64_t{gates.image_height()} * gates.image_width();
    if (gates.image_height() < 1) {
      Add("gates.image_height",
          absl::StrCat("is ", gates.image_height(), "; must be >= 1 for SAMPLER_CONVOLUTIONAL"));
    }
    if (gates.image_width() < 1) {
      Add("gates.image_width",
          absl::StrCat("is ", gates.image_width(), "; must be >= 1 for SAMPLER_CONVOLUTIONAL"));
    }
    if (pixels < 1) return;
    for (const int index : columns_.features) {
      if (schema_.columns(index).type() != v1::COLUMN_TYPE_CATEGORICAL) continue;
      Add("gates.sampler",
          absl::StrCat("is SAMPLER_CONVOLUTIONAL, but the column \"", schema_.columns(index).name(),
                       "\" is categorical, no pixel"));
      return;
    }
    const int64_t features = static_cast<int64_t>(columns_.features.size());
    const int64_t channels =
        gates.image_channels() > 0 ? gates.image_channels() : features / pixels;
    if (channels < 1 || pixels * channels != features) {
      Add("gates.image_height",
          absl::StrCat("is ", gates.image_height(), ": images of ", gates.image_height(), " x ",
                       gates.image_width(), " pixels and ", std::max<int64_t>(channels, 1),
                       " channels do not make the ", features, " features"));
    }
    if (gates.kernel() > std::min(gates.image_height(), gates.image_width())) {
      Add("gates.kernel", absl::StrCat("is ", gates.kernel(), ", larger than an image of ",
                                       gates.image_height(), " x ", gates.image_width()));
    }
  }

  void CheckMethod() {
    const Solver::Method method = spec_.solver().method();
    const bool relu = spec_.model() == Spec::MODEL_RELU;
    std::string rule;
    if (method == Solver::METHOD_WORKING_SETS && spec_.penalty() != Spec::PENALTY_GROUP_L1) {
      rule = "needs PENALTY_GROUP_L1";
    } else if (method == Solver::METHOD_R_FISTA && relu) {
      rule = "solves MODEL_GATED_RELU only";
    } else if (method == Solver::METHOD_LEAST_SQUARES &&
               (relu || spec_.loss() != Spec::LOSS_SQUARED ||
                (spec_.penalty() != Spec::PENALTY_SQUARED_L2 &&
                 spec_.penalty() != Spec::PENALTY_NONE))) {
      rule = "needs MODEL_GATED_RELU, LOSS_SQUARED and PENALTY_SQUARED_L2 or PENALTY_NONE";
    } else if ((method == Solver::METHOD_AUGMENTED_LAGRANGIAN ||
                method == Solver::METHOD_CONE_DECOMPOSITION) &&
               !relu) {
      rule = "solves MODEL_RELU only";
    }
    if (!rule.empty()) {
      Add("solver.method", absl::StrCat("is ", Solver::Method_Name(method), ", which ", rule));
    }
  }

  void CheckStopRule() {
    const Solver& solver = spec_.solver();
    if (solver.stop_rule() == Solver::STOP_RULE_GAP && spec_.penalty() == Spec::PENALTY_NONE) {
      Add("solver.stop_rule", "is STOP_RULE_GAP; PENALTY_NONE has no bound");
    }
    if (solver.stop_rule() == Solver::STOP_RULE_SUBGRADIENT &&
        solver.method() == Solver::METHOD_WORKING_SETS) {
      Add("solver.stop_rule",
          "is STOP_RULE_SUBGRADIENT; METHOD_WORKING_SETS stops by STOP_RULE_GAP");
    }
    if (solver.release_rules() && solver.method() != Solver::METHOD_AUGMENTED_LAGRANGIAN) {
      Add("solver.release_rules",
          absl::StrCat("is true, which METHOD_AUGMENTED_LAGRANGIAN alone has, not ",
                       Solver::Method_Name(solver.method())));
    } else if (solver.release_rules() && solver.stop_rule() == Solver::STOP_RULE_GAP) {
      Add("solver.stop_rule",
          "is STOP_RULE_GAP; with solver.release_rules it must be STOP_RULE_SUBGRADIENT");
    }
    if (solver.decomposition() != Solver::DECOMPOSITION_UNSPECIFIED &&
        solver.method() != Solver::METHOD_CONE_DECOMPOSITION) {
      Add("solver.decomposition",
          absl::StrCat("is ", Solver::Decomposition_Name(solver.decomposition()), "; ",
                       Solver::Method_Name(solver.method()), " takes no weight apart"));
    }
  }

  void CheckSearch() {
    if (spec_.gate_search().rounds() <= 0) return;
    if (spec_.solver().method() == Solver::METHOD_WORKING_SETS) return;  // needs the penalty, too
    Add("gate_search.rounds",
        absl::StrCat("is ", spec_.gate_search().rounds(),
                     "; a search needs PENALTY_GROUP_L1 and METHOD_WORKING_SETS, solver.method is ",
                     Solver::Method_Name(spec_.solver().method())));
  }

  void CheckPath() {
    const Path& path = spec_.path();
    if (!HasPath(spec_)) {
      if (path.folds() > 0) {
        Add("path.folds", absl::StrCat("is ", path.folds(), ", which needs path.points"));
      }
      return;
    }
    if (path.points() > 0 && path.lambdas_size() > 0) {
      Add("path.points",
          absl::StrCat("is ", path.points(), "; not to be given beside path.lambdas"));
    }
    if (path.points() > 0 && spec_.penalty() == Spec::PENALTY_SQUARED_L2) {
      Add("path.points",
          absl::StrCat("is ", path.points(), "; PENALTY_SQUARED_L2 needs path.lambdas"));
    }
    for (int i = 1; i < path.lambdas_size(); ++i) {
      if (path.lambdas(i) < path.lambdas(i - 1)) continue;
      Add(absl::StrCat("path.lambdas[", i, "]"),
          absl::StrCat("is ", path.lambdas(i), "; must be < the one before, ",
                       path.lambdas(i - 1)));
    }
    if (path.folds() == 1) Add("path.folds", "is 1; must be 0 or >= 2");
    if (path.selection() == Path::SELECTION_ONE_STANDARD_ERROR && path.folds() < 2) {
      Add("path.selection", "is SELECTION_ONE_STANDARD_ERROR, which needs path.folds");
    }
    if (path.selection() == Path::SELECTION_MINIMUM && path.folds() < 2 &&
        spec_.input().split().validation_fraction() <= 0) {
      Add("path.selection",
          "is SELECTION_MINIMUM, which needs path.folds or input.split.validation_fraction");
    }
  }

  void CheckComparison() {
    const v1::ConvexReluComparison& comparison = spec_.comparison();
    if (comparison.seeds() > 0 && spec_.penalty() != Spec::PENALTY_GROUP_L1) {
      Add("comparison.seeds",
          absl::StrCat("is ", comparison.seeds(), "; only PENALTY_GROUP_L1 is the weight decay of ",
                       "a network"));
    }
    std::set<int> seen;
    for (int i = 0; i < comparison.optimizers_size(); ++i) {
      const std::string field = absl::StrCat("comparison.optimizers[", i, "]");
      const v1::ConvexReluComparison::Optimizer optimizer = comparison.optimizers(i);
      if (optimizer == v1::ConvexReluComparison::OPTIMIZER_UNSPECIFIED) {
        Add(field, "is OPTIMIZER_UNSPECIFIED; must name an optimiser");
      } else if (!seen.insert(optimizer).second) {
        Add(field, absl::StrCat("is ", v1::ConvexReluComparison::Optimizer_Name(optimizer),
                                ", which is given twice"));
      }
    }
  }

  const v1::TableSchema& schema_;
  const TableColumns& columns_;
  const std::string_view path_;
  const Spec& spec_;
  Violations& violations_;
};

// What ReLU networks have beside the working set: the gradient of all patterns, and Newton's
// equations on faces within the limits of FaceNewtonOptions. Their unknowns rarely pass twice the
// predictions.
double ConeNumbers(double rows, double features, double outputs, double patterns) {
  const double unknowns = std::min(2 * patterns * features, 2 * rows) * outputs;
  const double matrix = std::min(unknowns, 2200.0);
  return outputs * patterns * features + (matrix > 1500 ? 6 : 10) * matrix * matrix +
         2 * std::min(unknowns * features, 1.7e7);
}

// Vectors of all weights that a solver keeps, and of all constraints.
double SolverNumbers(const Spec& spec, double rows, double features, double outputs,
                     double patterns) {
  const double separate = spec.loss() == Spec::LOSS_SOFTMAX ? outputs : 1;
  switch (spec.solver().method()) {
    case Solver::METHOD_R_FISTA:
    case Solver::METHOD_LEAST_SQUARES:
      return 8 * separate * patterns * features;
    case Solver::METHOD_AUGMENTED_LAGRANGIAN:
      return separate * (16 * patterns * features + 14 * rows * patterns);
    default:
      break;
  }
  const double cones =
      spec.model() == Spec::MODEL_RELU ? ConeNumbers(rows, features, separate, patterns) : 0;
  // Working sets rarely pass a few hundred patterns.
  return 8 * separate * std::min(patterns, 1000.0) * features + 4 * separate * patterns + cones;
}

}  // namespace

TableColumns ResolveConvexRelu(const v1::TableSchema& schema, std::string_view path, Spec& spec,
                               Violations& violations) {
  const int before = violations.count();
  const TableColumns columns =
      ResolveTableInput(schema, absl::StrCat(absl::string_view(path.data(), path.size()), ".input"),
                        *spec.mutable_input(), violations);
  const bool targets_known =
      columns.targets.size() == static_cast<size_t>(spec.input().target_columns_size());
  // Nothing can be said about the task while its targets are unknown.
  if (violations.count() > before && (!targets_known || columns.targets.empty())) return columns;
  if (spec.task() == Spec::TASK_UNSPECIFIED) {
    spec.set_task(IsClassificationByDefault(schema, columns) ? Spec::TASK_CLASSIFICATION
                                                             : Spec::TASK_REGRESSION);
  }
  const bool classification = spec.task() == Spec::TASK_CLASSIFICATION;
  CheckTargets(schema, columns, classification, path, violations);
  ResolveSplitMethod(classification, path, *spec.mutable_input(), violations);
  FillChoices(schema, columns, spec);
  FillGates(*spec.mutable_gates());
  FillSolver(spec, *spec.mutable_solver());
  FillSearch(spec, *spec.mutable_gate_search());
  FillPath(spec, *spec.mutable_path());
  OptionsChecker(schema, columns, path, spec, violations).Run();
  return columns;
}

void CheckGateTable(const TableSchemas& tables, std::string_view path, const Spec& spec,
                    Violations& violations) {
  if (spec.gates().dataset().empty()) return;
  const std::string field =
      absl::StrCat(absl::string_view(path.data(), path.size()), ".gates.dataset");
  const auto schema = tables.find(spec.gates().dataset());
  if (schema == tables.end()) {
    violations.Add(field,
                   absl::StrCat("is \"", spec.gates().dataset(), "\", which is not a table"));
    return;
  }
  for (const v1::ColumnSchema& column : schema->second.columns()) {
    if (column.type() == v1::COLUMN_TYPE_NUMERIC && column.missing_count() == 0) continue;
    violations.Add(field, absl::StrCat("is a table whose column \"", column.name(), "\" ",
                                       column.type() == v1::COLUMN_TYPE_NUMERIC ? "lacks values"
                                                                                : "is not numeric",
                                       "; gates are complete numbers"));
  }
}

int64_t EncodedColumns(const v1::TableSchema& schema, const TableColumns& columns) {
  int64_t count = 0;
  for (const int index : columns.features) {
    const v1::ColumnSchema& column = schema.columns(index);
    count += column.type() == v1::COLUMN_TYPE_CATEGORICAL
                 ? std::max<int64_t>(column.distinct_count(), 1)
                 : 1;
  }
  return count;
}

int64_t EstimateConvexReluMemory(const Spec& spec, const v1::TableSchema& schema) {
  Violations ignored;
  Spec resolved = spec;
  const TableColumns columns = ResolveConvexRelu(schema, "", resolved, ignored);
  if (columns.targets.empty()) return 0;
  const double rows = static_cast<double>(schema.row_count());
  const double features = static_cast<double>(EncodedColumns(schema, columns) + 1);
  const double outputs = OutputCount(schema, columns, spec.task() == Spec::TASK_CLASSIFICATION);
  const v1::ConvexReluGateSearch& search = resolved.gate_search();
  const double patterns =
      resolved.gates().count() + (search.rounds() > 0 ? search.max_new_patterns() * outputs : 0);
  const bool single = resolved.precision() == Spec::PRECISION_SINGLE &&
                      resolved.model() != Spec::MODEL_RELU;  // which is solved in double
  const double bytes =
      rows * features * (single ? 12.0 : 8.0) + 8 * patterns * features + rows * patterns / 4 +
      40 * rows * outputs +
      (single ? 4 : 8) * SolverNumbers(resolved, rows, features, outputs, patterns) + 64e6;
  return static_cast<int64_t>(std::min(bytes, 9e18));
}

}  // namespace trainyard
