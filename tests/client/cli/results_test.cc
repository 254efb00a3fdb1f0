#include "client/cli/results.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace trainyard::cli {
namespace {

v1::Report Sample() {
  v1::Report report;
  (*report.mutable_train_metrics())["accuracy"] = 1;
  (*report.mutable_train_metrics())["log_loss"] = 0.01;
  (*report.mutable_test_metrics())["accuracy"] = 0.93333;
  report.set_wall_seconds(1.25);
  report.set_peak_memory_bytes(3 << 20);
  auto& own = *report.mutable_hierarchical_shrinkage();
  own.set_lambda(10);
  (*own.mutable_metrics_plain())["accuracy"] = 0.9;
  (*own.mutable_metrics_shrunk())["accuracy"] = 0.93333;
  (*own.mutable_metrics_shrunk())["auc"] = 0.99;
  own.set_metrics_rows("test");
  own.set_leaf_count(12);
  own.set_tree_count(3);
  own.mutable_stability()->mutable_plain()->set_variance(0.5);
  own.set_task(v1::HierarchicalShrinkageSpec::TASK_CLASSIFICATION);
  own.set_tree("root\n  left\n  right\n");
  for (const double lambda : {0.0, 0.1, 1.0, 10.0, 100.0}) {
    auto* point = own.add_lambda_path();
    point->set_lambda(lambda);
    point->set_mean_loss(std::abs(std::log10(lambda + 0.01) - 1));
  }
  return report;
}

TEST(ResultsTest, ShowsMetricsSideBySideAndTheAlgorithmsOwnValues) {
  EXPECT_EQ(ReportText(Sample(), Terminal()),
            "metric    train    test\n"
            "accuracy      1  0.9333\n"
            "log_loss   0.01\n"
            "\n"
            "metric    plain  shrunk\n"
            "accuracy    0.9  0.9333\n"
            "auc                0.99\n"
            "\n"
            "lambda                                 10\n"
            "metrics rows                           test\n"
            "fit                                    0 s\n"
            "cv                                     0 s\n"
            "shrink                                 0 s\n"
            "leaf count                             12\n"
            "depth                                  0\n"
            "effective degrees of freedom           0\n"
            "task                                   classification\n"
            "tree count                             3\n"
            "stability, refits                      0\n"
            "stability, explained rows              0\n"
            "stability, plain, variance             0.5\n"
            "stability, plain, relative variance    0\n"
            "stability, plain, unexplained share    0\n"
            "stability, plain, prediction variance  0\n"
            "wall time                              1.2 s\n"
            "peak memory                            3.0 MiB\n"
            "\n"
            "tree\n"
            "root\n"
            "  left\n"
            "  right\n");
}

TEST(ResultsTest, ShowsMapsOfMetricsBySetOfRows) {
  v1::Report report;
  (*report.mutable_train_metrics())["accuracy"] = 0.925;
  (*report.mutable_test_metrics())["accuracy"] = 0.9;
  auto& own = *report.mutable_quant_bnb();
  own.set_status(v1::QuantBnbReport::STATUS_OPTIMAL);
  own.set_loss(82);
  own.set_lower_bound(82);
  own.set_gap(0);
  own.set_cart_loss(100);
  own.set_tree("a tree\n  a leaf\n");
  (*(*own.mutable_cart_metrics())["test"].mutable_values())["accuracy"] = 0.89;
  (*(*own.mutable_cart_metrics())["train"].mutable_values())["accuracy"] = 0.909;
  const std::string text = ReportText(report, Terminal());
  EXPECT_EQ(text.substr(0, text.find("tolerance")),
            "metric    train  test\n"
            "accuracy  0.925   0.9\n"
            "\n"
            "metric    cart train  cart test\n"
            "accuracy       0.909       0.89\n"
            "\n"
            "status         optimal\n"
            "loss           82\n"
            "lower bound    82\n"
            "gap            0\n");
  EXPECT_NE(text.find("\ntree\na tree\n  a leaf\n"), std::string::npos) << text;
}

TEST(ResultsTest, ShowsListsAsTables) {
  v1::Report report;
  auto& own = *report.mutable_convex_relu();
  for (int i = 0; i < 2; ++i) {
    v1::ConvexReluPathPoint& point = *own.add_path();
    point.set_lambda(0.5 / (i + 1));
    point.set_objective(2 - i);
    if (i == 1) point.set_relative_gap(1e-7);
    point.set_iterations(10 * i);
    point.set_seconds(1.5);
    point.set_active_neurons(3);
    (*point.mutable_train_metrics())["rmse"] = 1;
  }
  for (int i = 0; i < 45; ++i) {
    v1::ConvexReluDescent& descent = *own.add_comparison();
    descent.set_optimizer(v1::ConvexReluComparison::OPTIMIZER_ADAM);
    descent.set_step_size(0.1);
    descent.set_seed(i);
  }
  const std::string text = ReportText(report, Terminal());
  const size_t at = text.find("\npath\n");
  ASSERT_NE(at, std::string::npos) << text;
  EXPECT_EQ(text.substr(at, text.find("\ncomparison\n") - at),
            "\npath\n"
            "lambda  objective  relative gap  iterations  seconds  active neurons  cv error  cv "
            "standard error\n"
            "   0.5          2                         0      1.5               3\n"
            "  0.25          1         1e-07          10      1.5               3\n")
      << text;
  EXPECT_NE(text.find("adam"), std::string::npos);
  EXPECT_NE(text.find("… and 5 lines more"), std::string::npos);
}

TEST(ResultsTest, WorksForAReportWithoutAnAlgorithm) {
  v1::Report report;
  report.set_wall_seconds(2);
  EXPECT_EQ(ReportText(report, Terminal()), "wall time    2 s\npeak memory  0 B\n");
  EXPECT_EQ(CurveText(report, {}, Terminal()), "");
}

TEST(ResultsTest, LongTextsAreCut) {
  v1::Report report;
  std::string tree;
  for (int i = 0; i < 40; ++i) tree += "node\n";
  report.mutable_hierarchical_shrinkage()->set_tree(tree);
  EXPECT_NE(ReportText(report, Terminal()).find("… and 28 lines more"), std::string::npos);
}

TEST(ResultsTest, PlotsTheReportsOwnListWhereNoMetricMoves) {
  const std::string plot = CurveText(Sample(), {}, Terminal());
  EXPECT_EQ(plot.substr(0, plot.find('\n')), "mean loss by lambda");
  EXPECT_NE(plot.find("lambda (log) 100"), std::string::npos) << plot;
}

TEST(ResultsTest, PicksTheMostTellingCurve) {
  std::map<std::string, Curve> curves;
  EXPECT_EQ(MostTellingCurve(curves), "");
  curves["one_point"] = {{1, 1}};
  EXPECT_EQ(MostTellingCurve(curves), "");
  curves["step_value"] = {{1, 1}, {2, 4}};
  EXPECT_EQ(MostTellingCurve(curves), "step_value");
  curves["train/loss"] = {{1, 1}, {2, 0.5}};
  EXPECT_EQ(MostTellingCurve(curves), "train/loss");
  curves["validation/accuracy"] = {{1, 0.1}, {2, 0.5}};
  EXPECT_EQ(MostTellingCurve(curves), "validation/accuracy");
  curves["validation/loss"] = {{1, 1}, {2, 0.5}};
  EXPECT_EQ(MostTellingCurve(curves), "validation/loss");
  curves["validation/fold_1/loss"] = {{1, 1}, {2, 0.5}};
  EXPECT_EQ(MostTellingCurve(curves), "validation/loss");
  curves.erase("validation/fold_1/loss");
  curves["validation/loss"] = {{1, 1}, {2, 1}};
  EXPECT_EQ(MostTellingCurve(curves), "validation/accuracy");
  curves = {{"search/alive", {{1, 9}, {2, 3}}}, {"search/gap", {{1, 5}, {2, 0}}}};
  EXPECT_EQ(MostTellingCurve(curves), "search/gap");
}

}  // namespace
}  // namespace trainyard::cli
