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
    const auto ensemble = EnsembleFromModel(*model);
    ASSERT_TRUE(ensemble.ok()) << ensemble.status();
    EXPECT_TRUE(ensemble->trees.at(0) == sample.tree);
    EXPECT_EQ(ensemble->link, Link::kIdentity);
  }
}

// An ensemble of `outputs` raw scores with the link `link`, of regression trees.
TreeEnsemble MakeScores(Link link, int outputs, bool one_output_per_tree) {
  TreeEnsemble ensemble;
  ensemble.link = link;
  ensemble.outputs = outputs;
  ensemble.combination = TreeCombination::kSum;
  ensemble.base.assign(static_cast<size_t>(outputs), 0.25);
  for (int t = 0; t < 2 * outputs; ++t) {
    RandomShape shape = {.rows = 60, .categorical_features = 1, .levels = 5};
    shape.outputs = one_output_per_tree ? 1 : outputs;
    ensemble.trees.push_back(Grow(MakeRandomSet(shape, static_cast<uint64_t>(t)), DefaultCart()));
    if (one_output_per_tree) ensemble.tree_output.push_back(t % outputs);
  }
  return ensemble;
}

// A model that names the columns of MakeScores.
v1::TreeModel MakeScoresModel(const TreeEnsemble& ensemble, int classes) {
  v1::TreeModel model;
  for (int f = 0; f < 4; ++f) {
    v1::ColumnSchema& column = *model.add_features();
    column.set_type(f < 3 ? v1::COLUMN_TYPE_NUMERIC : v1::COLUMN_TYPE_CATEGORICAL);
    for (int level = 0; f == 3 && level < 5; ++level) column.add_levels(std::to_string(level));
  }
  for (int k = 0; k < classes; ++k) model.add_classes(std::to_string(k));
  model.add_targets("y");
  model.set_output(classes > 0 ? v1::TreeModel::OUTPUT_PROBABILITIES
                               : v1::TreeModel::OUTPUT_VALUES);
  EnsembleToProto(ensemble, model);
  return model;
}

TEST(TreeProtoTest, EnsemblesComeBackAsTheyWere) {
  const struct {
    Link link;
    int outputs;
    bool one_output_per_tree;
    int classes;
  } cases[] = {{Link::kIdentity, 1, true, 0}, {Link::kExp, 1, false, 0},
               {Link::kLogistic, 1, true, 2}, {Link::kSoftmax, 3, true, 3},
               {Link::kClip, 3, false, 3},    {Link::kClip, 2, false, 2}};
  for (const auto& c : cases) {
    const TreeEnsemble ensemble = MakeScores(c.link, c.outputs, c.one_output_per_tree);
    const auto back = EnsembleFromModel(MakeScoresModel(ensemble, c.classes));
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_TRUE(*back == ensemble);
  }
}

TEST(TreeProtoTest, RefusesCostsThatDoNotFit) {
  const v1::TreeModel model = MakeSample(true).model;
  const auto status_with = [&](const std::vector<double>& costs, bool classification) {
    v1::TreeModel changed = classification ? model : MakeSample(false).model;
    changed.mutable_costs()->Assign(costs.begin(), costs.end());
    return EnsembleFromModel(changed).status();
  };
  EXPECT_TRUE(status_with({0, 5, 0.5, 0}, true).ok());
  EXPECT_EQ(status_with({0, 5, 0.5, 0}, false).code(), absl::StatusCode::kDataLoss);
  for (const std::vector<double>& bad : std::vector<std::vector<double>>{
           {0, 5, 0.5}, {1, 5, 0.5, 0}, {0, -5, 0.5, 0}, {0, HUGE_VAL, 1, 0}, {0, NAN, 1, 0}}) {
    EXPECT_EQ(status_with(bad, true).code(), absl::StatusCode::kDataLoss);
  }
}

TEST(TreeProtoTest, RefusesDamagedEnsembles) {
  const v1::TreeModel softmax = MakeScoresModel(MakeScores(Link::kSoftmax, 3, true), 3);
  using Damage = std::function<void(v1::TreeModel&)>;
  const std::vector<std::pair<const char*, Damage>> damages = {
      {"short base", [](auto& m) { m.mutable_base()->RemoveLast(); }},
      {"base NaN", [](auto& m) { m.set_base(1, NAN); }},
      {"short tree_output", [](auto& m) { m.mutable_tree_output()->RemoveLast(); }},
      {"tree_output out of range", [](auto& m) { m.set_tree_output(0, 3); }},
      {"tree_output negative", [](auto& m) { m.set_tree_output(0, -1); }},
      {"no tree_output", [](auto& m) { m.clear_tree_output(); }},
      {"short tree_lambda", [](auto& m) { m.add_tree_lambda(1); }},
      {"unknown link", [](auto& m) { m.set_link(static_cast<v1::TreeModel::Link>(77)); }},
      {"logistic of three", [](auto& m) { m.set_link(v1::TreeModel::LINK_LOGISTIC); }},
      {"exp of classes", [](auto& m) { m.set_link(v1::TreeModel::LINK_EXP); }},
      {"softmax of values", [](auto& m) { m.set_output(v1::TreeModel::OUTPUT_VALUES); }},
      {"sum of shares", [](auto& m) { m.set_link(v1::TreeModel::LINK_IDENTITY); }},
  };
  ASSERT_TRUE(EnsembleFromModel(softmax).ok());
  for (const auto& [name, damage] : damages) {
    v1::TreeModel model = softmax;
    damage(model);
    EXPECT_EQ(EnsembleFromModel(model).status().code(), absl::StatusCode::kDataLoss) << name;
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
    EXPECT_EQ(EnsembleFromModel(model).status().code(), absl::StatusCode::kDataLoss) << name;
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
    const auto ensemble = EnsembleFromModel(*model);
    if (!ensemble.ok()) {
      EXPECT_EQ(ensemble.status().code(), absl::StatusCode::kDataLoss);
      continue;
    }
    ++accepted;
    std::vector<double> values(sample.set.rows * static_cast<size_t>(ensemble->prediction_count()));
    TreePredictor(*ensemble).Predict(sample.set.columns(), 0, values);
    EXPECT_FALSE(TreeToText(ensemble->trees.at(0), {}, 1 << 16).empty());
  }
  EXPECT_GT(accepted, 100);
  EXPECT_EQ(ParseTreeModel("\xff\xff not a message").status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace trainyard
