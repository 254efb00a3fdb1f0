#include "core/algorithms/convex_relu/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "core/algorithms/convex_relu/convex_relu.h"
#include "proto/schema/field_rules.h"

namespace trainyard {
namespace {

using Spec = v1::ConvexReluSpec;
using Gates = v1::ConvexReluGates;
using Solver = v1::ConvexReluSolver;
using Path = v1::ConvexReluPath;
using testing::HasSubstr;

constexpr char kDataset[] = "projects/p/datasets/d";

v1::TableSchema MakeSchema(bool classes) {
  v1::TableSchema schema;
  schema.set_row_count(100);
  for (const char* name : {"age", "color", "weight", "height", "target"}) {
    v1::ColumnSchema& column = *schema.add_columns();
    column.set_name(name);
    column.set_type(v1::COLUMN_TYPE_NUMERIC);
    column.set_distinct_count(50);
    column.set_maximum(49);
  }
  v1::ColumnSchema& color = *schema.mutable_columns(1);
  color.set_type(v1::COLUMN_TYPE_CATEGORICAL);
  color.set_distinct_count(3);
  for (const char* level : {"blue", "green", "red"}) color.add_levels(level);
  v1::ColumnSchema& target = *schema.mutable_columns(4);
  if (classes) target.set_distinct_count(3);
  target.set_whole_numbers(classes);
  return schema;
}

// A spec as the server resolves it: defaults, rules, then the algorithm.
struct Resolved {
  Resolved(const std::function<void(Spec&)>& change, bool classes = false,
           const TableSchemas& others = {}) {
    own().mutable_input()->set_dataset(kDataset);
    change(own());
    FillDefaults(spec);
    CheckFieldRules(spec, "spec", violations);
    TableSchemas schemas = others;
    schemas[kDataset] = MakeSchema(classes);
    ConvexReluAlgorithm().Resolve(schemas, "spec", spec, violations);
  }
  Spec& own() { return *spec.mutable_convex_relu(); }

  v1::TrainingSpec spec;
  Violations violations;
};

void ExpectViolation(const std::function<void(Spec&)>& change, const std::string& field,
                     const std::string& text, bool classes = false) {
  const Resolved resolved(change, classes);
  ASSERT_EQ(resolved.violations.count(), 1)
      << field << ": " << resolved.violations.ToStatus().message();
  EXPECT_EQ(resolved.violations.kept()[0].field, "spec.convex_relu." + field);
  EXPECT_THAT(resolved.violations.kept()[0].description, HasSubstr(text));
}

TEST(ConvexReluResolveTest, ChoosesWhatIsNotGiven) {
  Resolved resolved([](Spec&) {});
  ASSERT_TRUE(resolved.violations.empty()) << resolved.violations.ToStatus();
  const Spec& spec = resolved.own();
  EXPECT_EQ(spec.task(), Spec::TASK_REGRESSION);
  EXPECT_EQ(spec.model(), Spec::MODEL_RELU);
  EXPECT_EQ(spec.loss(), Spec::LOSS_SQUARED);
  EXPECT_EQ(spec.penalty(), Spec::PENALTY_GROUP_L1);
  EXPECT_EQ(spec.scaling(), Spec::SCALING_STANDARDIZED);
  EXPECT_EQ(spec.precision(), Spec::PRECISION_DOUBLE);
  EXPECT_EQ(spec.lambda_ratio(), 0.05);
  EXPECT_FALSE(spec.has_lambda());
  EXPECT_EQ(spec.gates().sampler(), Gates::SAMPLER_GAUSSIAN);
  EXPECT_EQ(spec.gates().count(), 1000);
  EXPECT_EQ(spec.solver().method(), Solver::METHOD_WORKING_SETS);
  EXPECT_EQ(spec.solver().stop_rule(), Solver::STOP_RULE_GAP);
  EXPECT_EQ(spec.solver().relative_gap(), 1e-6);
  EXPECT_EQ(spec.comparison().seeds(), 0);
  EXPECT_EQ(spec.comparison().optimizers_size(), 2);
  const std::string once = resolved.spec.SerializeAsString();
  Violations none;
  ConvexReluAlgorithm().Resolve({{kDataset, MakeSchema(false)}}, "spec", resolved.spec, none);
  EXPECT_EQ(resolved.spec.SerializeAsString(), once) << "resolving again changes something";
}

TEST(ConvexReluResolveTest, ChoosesByWhatIsGiven) {
  Resolved ridge([](Spec& spec) {
    spec.set_model(Spec::MODEL_GATED_RELU);
    spec.set_penalty(Spec::PENALTY_SQUARED_L2);
    spec.set_lambda(1);
  });
  EXPECT_TRUE(ridge.violations.empty()) << ridge.violations.ToStatus();
  EXPECT_EQ(ridge.own().solver().method(), Solver::METHOD_LEAST_SQUARES);
  Resolved sparse([](Spec& spec) {
    spec.set_model(Spec::MODEL_GATED_RELU);
    spec.set_penalty(Spec::PENALTY_L1);
    spec.set_precision(Spec::PRECISION_SINGLE);
  });
  EXPECT_EQ(sparse.own().solver().method(), Solver::METHOD_R_FISTA);
  EXPECT_EQ(sparse.own().solver().relative_gap(), 1e-4);
  Resolved none([](Spec& spec) {
    spec.set_model(Spec::MODEL_GATED_RELU);
    spec.set_penalty(Spec::PENALTY_NONE);
  });
  EXPECT_EQ(none.own().solver().stop_rule(), Solver::STOP_RULE_SUBGRADIENT);
  EXPECT_FALSE(none.own().has_lambda_ratio());
  Resolved path([](Spec& spec) {
    spec.mutable_path()->set_points(10);
    spec.mutable_path()->set_folds(5);
  });
  EXPECT_EQ(path.own().path().selection(), Path::SELECTION_ONE_STANDARD_ERROR);
  Resolved classes([](Spec&) {}, true);
  EXPECT_EQ(classes.own().task(), Spec::TASK_CLASSIFICATION);
  EXPECT_EQ(classes.own().input().split().method(), v1::SplitOptions::METHOD_STRATIFIED);
}

TEST(ConvexReluResolveTest, LossesAndPenaltiesFitTheModel) {
  ExpectViolation([](Spec& s) { s.set_loss(Spec::LOSS_LOGISTIC); }, "loss", "LOSS_SQUARED");
  for (const Spec::Model model : {Spec::MODEL_RELU, Spec::MODEL_GATED_RELU}) {
    Resolved softmax(
        [&](Spec& s) {
          s.set_model(model);
          s.set_loss(Spec::LOSS_SOFTMAX);
        },
        true);
    EXPECT_TRUE(softmax.violations.empty()) << softmax.violations.ToStatus();
  }
  ExpectViolation(
      [](Spec& s) {
        s.set_penalty(Spec::PENALTY_L1);
        s.mutable_solver()->set_method(Solver::METHOD_AUGMENTED_LAGRANGIAN);
      },
      "penalty", "PENALTY_GROUP_L1");
}

TEST(ConvexReluResolveTest, OnePenaltyAndItsStrength) {
  ExpectViolation(
      [](Spec& s) {
        s.set_lambda(1);
        s.set_lambda_ratio(0.5);
      },
      "lambda_ratio", "beside lambda");
  ExpectViolation(
      [](Spec& s) {
        s.set_lambda(1);
        s.mutable_path()->set_points(3);
      },
      "lambda", "beside a path");
  ExpectViolation(
      [](Spec& s) {
        s.set_model(Spec::MODEL_GATED_RELU);
        s.set_penalty(Spec::PENALTY_SQUARED_L2);
      },
      "lambda", "is not given");
  ExpectViolation(
      [](Spec& s) {
        s.set_model(Spec::MODEL_GATED_RELU);
        s.set_penalty(Spec::PENALTY_SQUARED_L2);
        s.set_lambda_ratio(0.1);
      },
      "lambda_ratio", "makes all weights zero");
  ExpectViolation(
      [](Spec& s) {
        s.set_model(Spec::MODEL_GATED_RELU);
        s.set_penalty(Spec::PENALTY_NONE);
        s.set_lambda(1);
      },
      "penalty", "neither lambda nor a path");
  ExpectViolation([](Spec& s) { s.set_lambda(0); }, "lambda", "must be > 0");
}

TEST(ConvexReluResolveTest, GatesFitTheData) {
  ExpectViolation([](Spec& s) { s.mutable_gates()->set_sampler(Gates::SAMPLER_UPLOADED); },
                  "gates.dataset", "SAMPLER_UPLOADED needs it");
  ExpectViolation(
      [](Spec& s) {
        s.mutable_gates()->set_active_proportion(0.5);
        s.set_bias(false);
      },
      "gates.active_proportion", "needs bias");
  const auto image = [](Spec& s) {
    s.mutable_gates()->set_sampler(Gates::SAMPLER_CONVOLUTIONAL);
    s.mutable_gates()->set_image_height(3);
    s.mutable_gates()->set_image_width(1);
    s.mutable_gates()->set_kernel(1);
    s.mutable_input()->add_ignored_columns("color");
  };
  EXPECT_TRUE(Resolved(image).violations.empty());
  ExpectViolation(
      [&](Spec& s) {
        image(s);
        s.mutable_gates()->set_image_width(2);
      },
      "gates.image_height", "do not make the 3 features");
  ExpectViolation(
      [&](Spec& s) {
        image(s);
        s.mutable_gates()->set_kernel(2);
      },
      "gates.kernel", "larger than an image");
  ExpectViolation(
      [&](Spec& s) {
        image(s);
        s.mutable_gates()->set_image_height(0);
      },
      "gates.image_height", "must be >= 1");
  ExpectViolation(
      [&](Spec& s) {
        image(s);
        s.mutable_input()->clear_ignored_columns();
        s.mutable_input()->add_ignored_columns("age");
      },
      "gates.sampler", "\"color\" is categorical");
}

TEST(ConvexReluResolveTest, UploadedGatesAreCompleteNumbers) {
  const std::string gates = "projects/p/datasets/gates";
  v1::TableSchema schema = MakeSchema(false);
  const auto upload = [&](Spec& s) { s.mutable_gates()->set_dataset(gates); };
  const Resolved resolved(upload, false, {{gates, schema}});
  ASSERT_EQ(resolved.violations.count(), 1);
  EXPECT_EQ(resolved.violations.kept()[0].field, "spec.convex_relu.gates.dataset");
  EXPECT_THAT(resolved.violations.kept()[0].description, HasSubstr("\"color\" is not numeric"));
  EXPECT_EQ(Resolved(upload).violations.count(), 1) << "a table that is not there";
  schema.mutable_columns()->DeleteSubrange(1, 1);
  EXPECT_TRUE(Resolved(upload, false, {{gates, schema}}).violations.empty());
  const Resolved without_bias(
      [&](Spec& s) {
        upload(s);
        s.set_bias(false);
      },
      false, {{gates, schema}});
  ASSERT_EQ(without_bias.violations.count(), 1);
  EXPECT_EQ(without_bias.violations.kept()[0].field, "spec.convex_relu.bias");
}

TEST(ConvexReluResolveTest, MethodsSolveWhatTheyCan) {
  ExpectViolation([](Spec& s) { s.mutable_solver()->set_method(Solver::METHOD_R_FISTA); },
                  "solver.method", "MODEL_GATED_RELU only");
  ExpectViolation([](Spec& s) { s.mutable_solver()->set_method(Solver::METHOD_LEAST_SQUARES); },
                  "solver.method", "PENALTY_SQUARED_L2");
  ExpectViolation(
      [](Spec& s) {
        s.set_model(Spec::MODEL_GATED_RELU);
        s.mutable_solver()->set_method(Solver::METHOD_CONE_DECOMPOSITION);
      },
      "solver.method", "MODEL_RELU only");
  ExpectViolation([](Spec& s) { s.mutable_solver()->set_stop_rule(Solver::STOP_RULE_SUBGRADIENT); },
                  "solver.stop_rule", "STOP_RULE_GAP");
  ExpectViolation(
      [](Spec& s) { s.mutable_solver()->set_decomposition(Solver::DECOMPOSITION_GATE_SHIFT); },
      "solver.decomposition", "takes no weight apart");
}

TEST(ConvexReluResolveTest, SearchesForPatternsWhereThatPays) {
  EXPECT_EQ(Resolved([](Spec&) {}).own().gate_search().rounds(), 3);
  EXPECT_EQ(
      Resolved([](Spec& s) { s.set_model(Spec::MODEL_GATED_RELU); }).own().gate_search().rounds(),
      0);
  EXPECT_EQ(
      Resolved([](Spec& s) { s.mutable_solver()->set_method(Solver::METHOD_AUGMENTED_LAGRANGIAN); })
          .own()
          .gate_search()
          .rounds(),
      0);
  Resolved gated([](Spec& s) {
    s.set_model(Spec::MODEL_GATED_RELU);
    s.mutable_gate_search()->set_rounds(5);
  });
  EXPECT_TRUE(gated.violations.empty()) << gated.violations.ToStatus();
  EXPECT_EQ(gated.own().gate_search().max_new_patterns(), 100);
  EXPECT_EQ(gated.own().gate_search().starts(), 100);
  EXPECT_EQ(gated.own().gate_search().min_decrease(), 1e-3);
  ExpectViolation(
      [](Spec& s) {
        s.mutable_solver()->set_method(Solver::METHOD_AUGMENTED_LAGRANGIAN);
        s.mutable_gate_search()->set_rounds(5);
      },
      "gate_search.rounds", "needs PENALTY_GROUP_L1 and METHOD_WORKING_SETS");
  ExpectViolation([](Spec& s) { s.mutable_gate_search()->set_rounds(-1); }, "gate_search.rounds",
                  "must be >= 0");
  ExpectViolation([](Spec& s) { s.mutable_gate_search()->set_starts(0); }, "gate_search.starts",
                  "must be >= 1");
  ExpectViolation([](Spec& s) { s.mutable_gate_search()->set_min_decrease(2); },
                  "gate_search.min_decrease", "must be >= 0 and <= 1");
}

TEST(ConvexReluResolveTest, PathsDescend) {
  ExpectViolation(
      [](Spec& s) {
        for (const double lambda : {1.0, 0.5, 0.5}) s.mutable_path()->add_lambdas(lambda);
      },
      "path.lambdas[2]", "must be < the one before");
  ExpectViolation(
      [](Spec& s) {
        s.mutable_path()->set_points(5);
        s.mutable_path()->add_lambdas(1);
      },
      "path.points", "beside path.lambdas");
  ExpectViolation(
      [](Spec& s) {
        s.mutable_path()->set_points(5);
        s.mutable_path()->set_selection(Path::SELECTION_ONE_STANDARD_ERROR);
      },
      "path.selection", "needs path.folds");
  ExpectViolation(
      [](Spec& s) {
        s.mutable_path()->set_points(5);
        s.mutable_path()->set_selection(Path::SELECTION_MINIMUM);
      },
      "path.selection", "validation_fraction");
  ExpectViolation([](Spec& s) { s.mutable_path()->set_folds(5); }, "path.folds",
                  "needs path.points");
}

TEST(ConvexReluResolveTest, ComparisonsNameEachOptimizerOnce) {
  ExpectViolation(
      [](Spec& s) {
        for (int i = 0; i < 2; ++i) {
          s.mutable_comparison()->add_optimizers(v1::ConvexReluComparison::OPTIMIZER_ADAM);
        }
      },
      "comparison.optimizers[1]", "given twice");
}

TEST(ConvexReluResolveTest, TheReleasesRulesAreThoseOfTheLagrangian) {
  Resolved release([](Spec& s) {
    s.mutable_solver()->set_method(Solver::METHOD_AUGMENTED_LAGRANGIAN);
    s.mutable_solver()->set_release_rules(true);
  });
  EXPECT_TRUE(release.violations.empty()) << release.violations.ToStatus();
  EXPECT_EQ(release.own().solver().stop_rule(), Solver::STOP_RULE_SUBGRADIENT);
  ExpectViolation(
      [](Spec& s) {
        s.set_model(Spec::MODEL_GATED_RELU);
        s.mutable_solver()->set_method(Solver::METHOD_R_FISTA);
        s.mutable_solver()->set_release_rules(true);
      },
      "solver.release_rules", "METHOD_R_FISTA");
  ExpectViolation(
      [](Spec& s) {
        s.mutable_solver()->set_method(Solver::METHOD_AUGMENTED_LAGRANGIAN);
        s.mutable_solver()->set_release_rules(true);
        s.mutable_solver()->set_stop_rule(Solver::STOP_RULE_GAP);
      },
      "solver.stop_rule", "STOP_RULE_SUBGRADIENT");
}

TEST(ConvexReluResolveTest, MemoryGrowsWithPatternsAndRows) {
  const v1::TableSchema schema = MakeSchema(false);
  const auto estimate = [&](int gates, Solver::Method method) {
    Resolved resolved([&](Spec& s) {
      s.mutable_gates()->set_count(gates);
      s.mutable_solver()->set_method(method);
    });
    return ConvexReluAlgorithm().EstimateMemory(resolved.spec, {{kDataset, schema}});
  };
  EXPECT_GT(estimate(100000, Solver::METHOD_WORKING_SETS),
            estimate(1000, Solver::METHOD_WORKING_SETS));
  EXPECT_GT(estimate(100000, Solver::METHOD_AUGMENTED_LAGRANGIAN),
            estimate(100000, Solver::METHOD_WORKING_SETS));
}

}  // namespace
}  // namespace trainyard
