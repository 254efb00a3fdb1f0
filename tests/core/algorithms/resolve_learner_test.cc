#include "core/algorithms/hierarchical_shrinkage/resolve_learner.h"

#include <functional>
#include <string>
#include <vector>

#include "core/algorithms/hierarchical_shrinkage/hierarchical_shrinkage.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/schema/field_rules.h"

namespace trainyard {
namespace {

using Spec = v1::HierarchicalShrinkageSpec;
using testing::HasSubstr;

constexpr char kDataset[] = "projects/p/datasets/d";

// Features age (numbers) and color (categories), and a numeric target; 1000 rows.
v1::TableSchema MakeSchema(int64_t distinct_targets) {
  v1::TableSchema schema;
  schema.set_row_count(1000);
  const auto add = [&](const char* name, v1::ColumnType type, int64_t distinct) {
    v1::ColumnSchema& column = *schema.add_columns();
    column.set_name(name);
    column.set_type(type);
    column.set_distinct_count(distinct);
    column.set_minimum(0);
    column.set_maximum(static_cast<double>(distinct - 1));
    column.set_mean(1);
    column.set_whole_numbers(type == v1::COLUMN_TYPE_NUMERIC && distinct < 20);
  };
  add("age", v1::COLUMN_TYPE_NUMERIC, 50);
  add("color", v1::COLUMN_TYPE_CATEGORICAL, 3);
  add("target", v1::COLUMN_TYPE_NUMERIC, distinct_targets);
  return schema;
}

struct Resolved {
  Spec spec;
  std::vector<FieldViolation> violations;
};

// 2 or 3 classes, or 500 for a regression.
Resolved Resolve(int64_t distinct_targets, const std::function<void(Spec&)>& change) {
  v1::TrainingSpec spec;
  Spec& own = *spec.mutable_hierarchical_shrinkage();
  own.mutable_input()->set_dataset(kDataset);
  change(own);
  FillDefaults(spec);
  Violations violations;
  HierarchicalShrinkageAlgorithm().Resolve({{kDataset, MakeSchema(distinct_targets)}}, "", spec,
                                           violations);
  const std::string once = spec.SerializeAsString();
  Violations again;
  HierarchicalShrinkageAlgorithm().Resolve({{kDataset, MakeSchema(distinct_targets)}}, "", spec,
                                           again);
  EXPECT_EQ(spec.SerializeAsString(), once) << "a second call changes nothing";
  EXPECT_EQ(again.count(), violations.count());
  return {own, violations.kept()};
}

TEST(ResolveLearnerTest, FillsInWhatIsNotGiven) {
  Resolved tree = Resolve(2, [](Spec&) {});
  EXPECT_EQ(tree.spec.selection(), Spec::SELECTION_CROSS_VALIDATION);
  EXPECT_EQ(tree.spec.learner_case(), Spec::LEARNER_NOT_SET);

  Resolved forest = Resolve(2, [](Spec& s) { s.mutable_forest(); });
  EXPECT_TRUE(forest.violations.empty());
  EXPECT_EQ(forest.spec.selection(), Spec::SELECTION_OOB);
  EXPECT_TRUE(forest.spec.forest().bootstrap());
  EXPECT_EQ(forest.spec.forest().tree_count(), 100);
  EXPECT_EQ(Resolve(500, [](Spec& s) { s.mutable_forest(); }).spec.selection(),
            Spec::SELECTION_CROSS_VALIDATION);
  EXPECT_EQ(Resolve(2, [](Spec& s) { s.mutable_forest()->set_tree_count(19); }).spec.selection(),
            Spec::SELECTION_CROSS_VALIDATION);
  Resolved extra = Resolve(
      2, [](Spec& s) { s.mutable_forest()->set_kind(v1::ForestOptions::KIND_EXTRA_TREES); });
  EXPECT_FALSE(extra.spec.forest().bootstrap());
  EXPECT_EQ(extra.spec.selection(), Spec::SELECTION_CROSS_VALIDATION);
  EXPECT_EQ(Resolve(500,
                    [](Spec& s) {
                      s.mutable_forest();
                      s.set_lambda_per_tree(true);
                    })
                .spec.selection(),
            Spec::SELECTION_OOB);

  const auto boosting = [](Spec& s) { s.mutable_boosting(); };
  EXPECT_EQ(Resolve(2, boosting).spec.boosting().loss(), v1::BoostingOptions::LOSS_LOGISTIC);
  EXPECT_EQ(Resolve(3, boosting).spec.boosting().loss(), v1::BoostingOptions::LOSS_SOFTMAX);
  EXPECT_EQ(Resolve(500, boosting).spec.boosting().loss(), v1::BoostingOptions::LOSS_SQUARED_ERROR);
  EXPECT_EQ(Resolve(2, boosting).spec.boosting().shrinkage_mode(),
            v1::BoostingOptions::SHRINKAGE_MODE_POST_HOC);
  Resolved none = Resolve(2, [](Spec& s) {
    s.mutable_boosting()->set_shrinkage_mode(v1::BoostingOptions::SHRINKAGE_MODE_NONE);
  });
  EXPECT_EQ(none.spec.selection(), Spec::SELECTION_GIVEN);
  EXPECT_TRUE(none.spec.has_lambda());

  EXPECT_EQ(Resolve(2, [](Spec& s) { s.mutable_figs(); }).spec.cart().criterion(),
            v1::CartOptions::CRITERION_SQUARED_ERROR);
  EXPECT_TRUE(
      Resolve(2, [](Spec& s) { s.set_base_model("projects/p/models/m"); }).violations.empty());
}

TEST(ResolveLearnerTest, NamesEveryContradiction) {
  const struct {
    const char* field;
    const char* text;
    int64_t targets;
    std::function<void(Spec&)> change;
  } cases[] = {
      {"cart.max_features_number", "must be given", 2,
       [](Spec& s) { s.mutable_cart()->set_max_features(v1::CartOptions::MAX_FEATURES_COUNT); }},
      {"cart.max_features_number", "whole number", 2,
       [](Spec& s) {
         s.mutable_cart()->set_max_features(v1::CartOptions::MAX_FEATURES_COUNT);
         s.mutable_cart()->set_max_features_number(1.5);
       }},
      {"cart.max_features_number", "at most 1", 2,
       [](Spec& s) {
         s.mutable_cart()->set_max_features(v1::CartOptions::MAX_FEATURES_SHARE);
         s.mutable_cart()->set_max_features_number(1.5);
       }},
      {"cart.max_features_number", "only", 2,
       [](Spec& s) { s.mutable_cart()->set_max_features_number(2); }},
      {"cart.pruning_confidence", "classification", 500,
       [](Spec& s) { s.mutable_cart()->set_pruning_confidence(0.25); }},
      {"forest.max_samples", "needs bootstrap", 2,
       [](Spec& s) {
         s.mutable_forest()->set_bootstrap(false);
         s.mutable_forest()->set_max_samples(0.5);
       }},
      {"forest.class_weights", "classification", 500,
       [](Spec& s) {
         s.mutable_forest()->set_class_weights(v1::ForestOptions::CLASS_WEIGHTS_BALANCED);
       }},
      {"cart", "do not apply to boosting", 2,
       [](Spec& s) {
         s.mutable_boosting();
         s.mutable_cart()->set_max_depth(3);
       }},
      {"boosting.loss", "for regression", 2,
       [](Spec& s) { s.mutable_boosting()->set_loss(v1::BoostingOptions::LOSS_HUBER); }},
      {"boosting.loss", "for classification", 500,
       [](Spec& s) { s.mutable_boosting()->set_loss(v1::BoostingOptions::LOSS_LOGISTIC); }},
      {"boosting.loss", "two classes", 3,
       [](Spec& s) { s.mutable_boosting()->set_loss(v1::BoostingOptions::LOSS_LOGISTIC); }},
      {"boosting.early_stopping_rounds", "validation rows", 2,
       [](Spec& s) { s.mutable_boosting()->set_early_stopping_rounds(5); }},
      {"boosting.huber_delta", "LOSS_HUBER only", 500,
       [](Spec& s) { s.mutable_boosting()->set_huber_delta(1); }},
      {"boosting.monotone_constraints[0].feature", "no feature", 2,
       [](Spec& s) { s.mutable_boosting()->add_monotone_constraints()->set_feature("height"); }},
      {"boosting.monotone_constraints[0].feature", "categories", 2,
       [](Spec& s) { s.mutable_boosting()->add_monotone_constraints()->set_feature("color"); }},
      {"boosting.monotone_constraints[1].feature", "twice", 2,
       [](Spec& s) {
         s.mutable_boosting()->add_monotone_constraints()->set_feature("age");
         s.mutable_boosting()->add_monotone_constraints()->set_feature("age");
       }},
      {"boosting.monotone_constraints", "LOSS_SOFTMAX", 3,
       [](Spec& s) { s.mutable_boosting()->add_monotone_constraints()->set_feature("age"); }},
      {"lambda", "SHRINKAGE_MODE_NONE", 2,
       [](Spec& s) {
         s.set_lambda(5);
         s.mutable_boosting()->set_shrinkage_mode(v1::BoostingOptions::SHRINKAGE_MODE_NONE);
       }},
      {"cart.criterion", "figs", 2,
       [](Spec& s) {
         s.mutable_figs();
         s.mutable_cart()->set_criterion(v1::CartOptions::CRITERION_GINI);
       }},
      {"cart.max_leaf_nodes", "figs", 2,
       [](Spec& s) {
         s.mutable_figs();
         s.mutable_cart()->set_max_leaf_nodes(7);
       }},
      {"lambda", "must be given", 2, [](Spec& s) { s.set_selection(Spec::SELECTION_GIVEN); }},
      {"selection", "lambda is given", 2,
       [](Spec& s) {
         s.set_lambda(1);
         s.set_selection(Spec::SELECTION_CROSS_VALIDATION);
       }},
      {"selection", "needs a forest", 2, [](Spec& s) { s.set_selection(Spec::SELECTION_OOB); }},
      {"selection", "bootstrap", 2,
       [](Spec& s) {
         s.mutable_forest()->set_bootstrap(false);
         s.set_selection(Spec::SELECTION_OOB);
       }},
      {"lambda_per_tree", "SELECTION_OOB", 2, [](Spec& s) { s.set_lambda_per_tree(true); }},
      {"tune_ccp_alpha", "one tree", 2,
       [](Spec& s) {
         s.mutable_forest();
         s.set_tune_ccp_alpha(true);
       }},
      {"tune_ccp_alpha", "given as 0.1", 2,
       [](Spec& s) {
         s.mutable_cart()->set_ccp_alpha(0.1);
         s.set_tune_ccp_alpha(true);
       }},
      {"stability.refits", "at least 2", 2, [](Spec& s) { s.mutable_stability()->set_refits(1); }},
      {"stability.refits", "not fitted again", 2,
       [](Spec& s) {
         s.set_base_model("projects/p/models/m");
         s.mutable_stability()->set_refits(5);
       }},
      {"base_model", "models", 2, [](Spec& s) { s.set_base_model("nonsense"); }},
  };
  for (const auto& c : cases) {
    const Resolved resolved = Resolve(c.targets, c.change);
    ASSERT_EQ(resolved.violations.size(), 1u) << c.field << " " << c.text;
    EXPECT_EQ(resolved.violations[0].field, std::string("hierarchical_shrinkage.") + c.field);
    EXPECT_THAT(resolved.violations[0].description, HasSubstr(c.text)) << c.field;
  }
}

TEST(ResolveLearnerTest, EstimatesMoreMemoryForMoreTrees) {
  const v1::TableSchema schema = MakeSchema(2);
  const auto estimate = [&](const std::function<void(Spec&)>& change) {
    v1::TrainingSpec spec;
    *spec.mutable_hierarchical_shrinkage() = Resolve(2, change).spec;
    return HierarchicalShrinkageAlgorithm().EstimateMemory(spec, {{kDataset, schema}});
  };
  const int64_t tree = estimate([](Spec&) {});
  const int64_t ten = estimate([](Spec& s) { s.mutable_forest()->set_tree_count(10); });
  const int64_t thousand = estimate([](Spec& s) { s.mutable_forest()->set_tree_count(1000); });
  EXPECT_GT(tree, 0);
  EXPECT_GT(ten, tree);
  EXPECT_GT(thousand, 10 * ten);
  EXPECT_GT(estimate([](Spec& s) { s.mutable_boosting()->set_rounds(100000); }),
            estimate([](Spec& s) { s.mutable_boosting(); }));
}

}  // namespace
}  // namespace trainyard
