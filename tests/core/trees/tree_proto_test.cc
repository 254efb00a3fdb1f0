#include "core/trees/tree_proto.h"

#include <cmath>
#include <functional>

#include "core/trees/tree_predictor.h"
#include "core/trees/tree_printer.h"
#include "google/protobuf/stubs/logging.h"
#include "tests/core/trees/tree_test_data.h"

namespace trainyard {
namespace {

struct Sample {
  TrainingSet set;
  Tree tree;
  v1::TreeModel model;
};

Sample MakeSample(bool classification) {
  Sample sample;
  sample.set = MakeRandomSet({.rows = 60,
                              .numeric_features = 2,
                              .categorical_features = 2,
                              .levels = 5,
                              .outputs = 2,
                              .classification = classification,
                              .missing_share = 0.1},
                             3);
  sample.tree = Grow(sample.set, DefaultCart());
  for (int f = 0; f < 4; ++f) {
    v1::ColumnSchema& column = *sample.model.add_features();
    column.set_name("f" + std::to_string(f));
    column.set_type(f < 2 ? v1::COLUMN_TYPE_NUMERIC : v1::COLUMN_TYPE_CATEGORICAL);
    for (int level = 0; f >= 2 && level < 5; ++level) {
      column.add_levels("level" + std::to_string(level));
    }
  }
  for (const char* name : {"a", "b"}) {
    classification ? sample.model.add_classes(name) : sample.model.add_targets(name);
  }
  sample.model.set_output(classification ? v1::TreeModel::OUTPUT_PROBABILITIES
                                         : v1::TreeModel::OUTPUT_VALUES);
  sample.model.set_combination(v1::TreeModel::COMBINATION_MEAN);
  *sample.model.add_trees() = TreeToProto(sample.tree);
  return sample;
}

TEST(TreeProtoTest, ComesBackAsItWas) {
  for (const bool classification : {false, true}) {
    const Sample sample = MakeSample(classification);
    const auto model = ParseTreeModel(sample.model.SerializeAsString());
    ASSERT_TRUE(model.ok());
    const auto trees = TreesFromModel(*model);
    ASSERT_TRUE(trees.ok()) << trees.status();
    EXPECT_TRUE(trees->at(0) == sample.tree);
  }
}

// One damage each; every one must be found and named.
TEST(TreeProtoTest, RefusesEveryKindOfDamage) {
  const Sample sample = MakeSample(true);
  const int inner = 0;
  int leaf = 0;
  int categorical = -1;
  for (int t = 0; t < sample.tree.node_count(); ++t) {
    if (sample.tree.is_leaf(t)) leaf = t;
    if (sample.tree.is_categorical(t)) categorical = t;
  }
  ASSERT_GE(categorical, 0);
  const int first_level = sample.model.trees(0).level_begin(categorical);
  using Damage = std::function<void(v1::TreeModel&, v1::DecisionTree&)>;
  const std::vector<std::pair<const char*, Damage>> damages = {
      {"no trees", [](auto& m, auto&) { m.clear_trees(); }},
      {"no classes", [](auto& m, auto&) { m.clear_classes(); }},
      {"output", [](auto& m, auto&) { m.clear_output(); }},
      {"combination", [](auto& m, auto&) { m.clear_combination(); }},
      {"empty tree", [](auto&, auto& t) { t.Clear(); }},
      {"short threshold", [](auto&, auto& t) { t.mutable_threshold()->RemoveLast(); }},
      {"short mean", [](auto&, auto& t) { t.mutable_mean()->RemoveLast(); }},
      {"long value", [](auto&, auto& t) { t.add_value(0); }},
      {"short level_begin", [](auto&, auto& t) { t.mutable_level_begin()->RemoveLast(); }},
      {"no level_begin", [](auto&, auto& t) { t.clear_level_begin(); }},
      {"cycle", [=](auto&, auto& t) { t.set_left(inner, 0); }},
      {"child out of range", [=](auto&, auto& t) { t.set_left(inner, t.left_size()); }},
      {"negative child", [=](auto&, auto& t) { t.set_right(inner, -1); }},
      {"two parents", [=](auto&, auto& t) { t.set_left(inner, t.right(inner)); }},
      {"orphans", [=](auto&, auto& t) { t.set_left(inner, -1), t.set_right(inner, -1); }},
      {"leaf with feature", [=](auto&, auto& t) { t.set_feature(leaf, 0); }},
      {"unknown feature", [=](auto&, auto& t) { t.set_feature(inner, 4); }},
      {"negative feature", [=](auto&, auto& t) { t.set_feature(inner, -2); }},
      {"wrong type", [=](auto&, auto& t) { t.set_feature(categorical, 0); }},
      {"NaN threshold", [=](auto&, auto& t) { t.set_threshold(inner, NAN); }},
      {"level out of range", [=](auto&, auto& t) { t.set_left_levels(first_level, 5); }},
      {"negative level", [=](auto&, auto& t) { t.set_left_levels(first_level, -1); }},
      {"level_begin falls", [=](auto&, auto& t) { t.set_level_begin(categorical + 1, -7); }},
      {"level_begin beyond", [=](auto&, auto& t) { t.set_level_begin(1, 1 << 30); }},
      {"unowned levels", [](auto&, auto& t) { t.add_left_levels(0); }},
      {"weight 0", [=](auto&, auto& t) { t.set_weight(leaf, 0); }},
      {"weight NaN", [=](auto&, auto& t) { t.set_weight(leaf, NAN); }},
      {"negative rows", [=](auto&, auto& t) { t.set_row_count(leaf, -1); }},
      {"impurity NaN", [=](auto&, auto& t) { t.set_impurity(leaf, NAN); }},
      {"infinite value", [=](auto&, auto& t) { t.set_value(0, HUGE_VAL); }},
      {"NaN mean", [=](auto&, auto& t) { t.set_mean(0, NAN); }},
      {"negative probability", [=](auto&, auto& t) { t.set_value(0, -0.01); }},
      {"probability above 1", [=](auto&, auto& t) { t.set_mean(0, 1.01); }},
      {"fewer features", [](auto& m, auto&) { m.mutable_features()->RemoveLast(); }},
      {"fewer levels", [](auto& m, auto&) { m.mutable_features(3)->clear_levels(); }},
  };
  for (const auto& [name, damage] : damages) {
    v1::TreeModel model = sample.model;
    damage(model, *model.mutable_trees(0));
    EXPECT_EQ(TreesFromModel(model).status().code(), absl::StatusCode::kDataLoss) << name;
  }
}

// Whatever the bytes, loading ends with a tree that can be walked or with DATA_LOSS.
TEST(TreeProtoTest, SurvivesHostileBytes) {
  const google::protobuf::LogSilencer silence;
  const Sample sample = MakeSample(true);
  const std::string good = sample.model.SerializeAsString();
  std::mt19937_64 random(1);
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = good;
    const int edits = 1 + static_cast<int>(random() % 4);
    for (int e = 0; e < edits; ++e) {
      const size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << (random() % 8)));
          break;
        case 2:
          if (bytes.size() > 8) bytes.erase(at, random() % 8);
          break;
        default:
          bytes.insert(at, 1 + random() % 5, static_cast<char>(random()));
      }
    }
    const auto model = ParseTreeModel(bytes);
    if (!model.ok()) {
      EXPECT_EQ(model.status().code(), absl::StatusCode::kDataLoss);
      continue;
    }
    const auto trees = TreesFromModel(*model);
    if (!trees.ok()) {
      EXPECT_EQ(trees.status().code(), absl::StatusCode::kDataLoss);
      continue;
    }
    ++accepted;
    std::vector<double> values(sample.set.rows * static_cast<size_t>(trees->at(0).outputs));
    TreePredictor(*trees, TreeCombination::kSum).Predict(sample.set.columns(), 0, values);
    EXPECT_FALSE(TreeToText(trees->at(0), {}, 1 << 16).empty());
  }
  EXPECT_GT(accepted, 100);
  EXPECT_EQ(ParseTreeModel("\xff\xff not a message").status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace trainyard
