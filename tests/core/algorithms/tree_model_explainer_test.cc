// Explanations of stored models against their predictions and against direct computation.
#include "core/algorithms/tree_model_explainer.h"

#include <cmath>
#include <numeric>

#include "core/algorithms/metrics.h"
#include "core/algorithms/tree_model_predictor.h"
#include "core/trees/tree_proto.h"
#include "gmock/gmock.h"
#include "proto/schema/field_rules.h"
#include "tests/core/algorithms/train_test_support.h"

namespace trainyard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

// All messages of an explanation joined.
struct Explained {
  v1::ExplanationInfo info;
  std::vector<double> values;
  std::vector<double> interactions;
  std::vector<double> feature_values;
  v1::ImportanceBlock importance;
  v1::DependenceBlock dependence;
  int messages = 0;
};

class TreeModelExplainerTest : public testing::Test {
 protected:
  TreeModelExplainerTest() : table_(MakeMixedTable()) {
    v1::TrainingSpec spec = MakeSpec();
    spec.mutable_hierarchical_shrinkage()->set_lambda(2);
    const auto result = TrainOn(table_, spec, context_);
    EXPECT_TRUE(result.ok()) << result.status();
    predictor_ =
        *HierarchicalShrinkageAlgorithm().LoadPredictor(result->manifest, context_.model_folder());
  }

  ExplanationRequest RequestFor(v1::ExplainHeader header) const {
    if (header.explanation_case() == v1::ExplainHeader::EXPLANATION_NOT_SET) header.mutable_shap();
    FillDefaults(header);
    return {std::move(header), table_, table_, 2, {}};
  }

  Explained Explain(const Predictor& predictor, const v1::ExplainHeader& header) const {
    Explained all;
    auto explanation = predictor.Explain(RequestFor(header));
    EXPECT_TRUE(explanation.ok()) << explanation.status();
    if (!explanation.ok()) return all;
    v1::ExplainResponse message;
    while (true) {
      message.Clear();
      const auto more = (*explanation)->Next(message);
      EXPECT_TRUE(more.ok()) << more.status();
      if (!more.ok() || !*more) return all;
      EXPECT_LE(message.ByteSizeLong(), size_t{1} << 20);
      ++all.messages;
      all.info.MergeFrom(message.info());
      const v1::ShapBlock& shap = message.shap();
      all.values.insert(all.values.end(), shap.values().begin(), shap.values().end());
      all.interactions.insert(all.interactions.end(), shap.interactions().begin(),
                              shap.interactions().end());
      all.feature_values.insert(all.feature_values.end(), shap.feature_values().begin(),
                                shap.feature_values().end());
      all.importance.MergeFrom(message.importance());
      all.dependence.MergeFrom(message.dependence());
    }
  }
  Explained Explain(const v1::ExplainHeader& header) const { return Explain(*predictor_, header); }

  // The fields of the violations that a request causes.
  std::vector<std::string> Refused(const v1::ExplainHeader& header) const {
    const auto explanation = predictor_->Explain(RequestFor(header));
    std::vector<std::string> fields;
    for (const auto& violation : ViolationsOf(explanation.status())) {
      fields.push_back(violation.field);
    }
    return fields;
  }

  FakeTrainingContext context_;
  std::shared_ptr<const Table> table_;
  std::unique_ptr<Predictor> predictor_;
};

TEST_F(TreeModelExplainerTest, ShapValuesSumToThePrediction) {
  for (const auto method :
       {v1::ShapOptions::METHOD_UNSPECIFIED, v1::ShapOptions::METHOD_INTERVENTIONAL}) {
    v1::ExplainHeader header;
    header.mutable_shap()->set_method(method);
    const Explained all = Explain(header);
    EXPECT_THAT(all.info.outputs(), ElementsAre("maybe", "no", "yes"));
    EXPECT_EQ(all.info.scale(), v1::ExplanationInfo::SCALE_PREDICTION);
    EXPECT_EQ(all.info.row_count(), 120);
    const size_t p = static_cast<size_t>(all.info.features_size());
    ASSERT_THAT(all.values, SizeIs(120 * 3 * p));
    const Predictions predictions = *predictor_->Predict(*table_, 1);
    auto at = all.values.begin();
    for (size_t row = 0; row < 120; ++row) {
      for (int k = 0; k < 3; ++k) {
        const auto end = at + static_cast<ptrdiff_t>(p);
        EXPECT_NEAR(std::accumulate(at, end, all.info.base_values(k)),
                    predictions.columns[static_cast<size_t>(k) + 1].numbers[row], 1e-12);
        at = end;
      }
    }
  }
}

TEST_F(TreeModelExplainerTest, InterventionalBaseIsTheMeanPrediction) {
  v1::ExplainHeader header;
  header.mutable_shap()->set_method(v1::ShapOptions::METHOD_INTERVENTIONAL);
  header.mutable_shap()->set_background_rows(1000);
  const Explained all = Explain(header);
  const std::vector<double> yes = predictor_->Predict(*table_, 1)->columns[3].numbers;
  EXPECT_NEAR(all.info.base_values(2), std::accumulate(yes.begin(), yes.end(), 0.0) / 120, 1e-12);
  // Another draw of fewer rows moves it, the same seed does not.
  header.mutable_shap()->set_background_rows(7);
  const double first = Explain(header).info.base_values(2);
  EXPECT_EQ(Explain(header).info.base_values(2), first);
  header.mutable_shap()->set_seed(1);
  EXPECT_NE(Explain(header).info.base_values(2), first);
}

TEST_F(TreeModelExplainerTest, SelectsOutputsAndRows) {
  const Explained all = Explain({});
  v1::ExplainHeader header;
  header.add_outputs("yes");
  header.add_outputs("maybe");
  header.set_row_limit(5);
  const Explained some = Explain(header);
  EXPECT_THAT(some.info.outputs(), ElementsAre("yes", "maybe"));
  EXPECT_EQ(some.info.row_count(), 5);
  const size_t p = static_cast<size_t>(all.info.features_size());
  ASSERT_THAT(some.values, SizeIs(5 * 2 * p));
  EXPECT_DOUBLE_EQ(some.info.base_values(0), all.info.base_values(2));
  for (size_t row = 0; row < 5; ++row) {
    for (size_t j = 0; j < p; ++j) {
      EXPECT_DOUBLE_EQ(some.values[row * 2 * p + j], all.values[(row * 3 + 2) * p + j]);
      EXPECT_DOUBLE_EQ(some.values[(row * 2 + 1) * p + j], all.values[row * 3 * p + j]);
    }
  }
  // All of them in another order.
  header.add_outputs("no");
  const Explained turned = Explain(header);
  EXPECT_THAT(turned.info.outputs(), ElementsAre("yes", "maybe", "no"));
  EXPECT_EQ(turned.info.base_values(2), all.info.base_values(1));
  EXPECT_EQ(turned.values[0], all.values[2 * p]);
}

TEST_F(TreeModelExplainerTest, InteractionsSumToTheValues) {
  v1::ExplainHeader header;
  header.mutable_shap()->set_interactions(true);
  const Explained pairs = Explain(header);
  const Explained plain = Explain({});
  const size_t p = static_cast<size_t>(plain.info.features_size());
  ASSERT_THAT(pairs.interactions, SizeIs(plain.values.size() * p));
  for (size_t i = 0; i < plain.values.size(); ++i) {
    const auto row = pairs.interactions.begin() + static_cast<ptrdiff_t>(i * p);
    EXPECT_NEAR(std::accumulate(row, row + static_cast<ptrdiff_t>(p), 0.0), plain.values[i], 1e-12);
    EXPECT_NEAR(pairs.values[i], plain.values[i], 1e-12);
  }
}

TEST_F(TreeModelExplainerTest, SendsFeatureValuesAndTypes) {
  const Explained all = Explain({});
  const size_t p = static_cast<size_t>(all.info.features_size());
  ASSERT_THAT(all.feature_values, SizeIs(120 * p));
  for (int j = 0; j < all.info.features_size(); ++j) {
    const int column = *table_->FindColumn(all.info.features(j));
    ASSERT_EQ(all.info.categorical(j),
              table_->column(column).type() == v1::COLUMN_TYPE_CATEGORICAL);
    if (all.info.categorical(j)) continue;
    for (size_t row = 0; row < 120; ++row) {
      const double sent = all.feature_values[row * p + static_cast<size_t>(j)];
      const double own = table_->numbers(column)[row];
      EXPECT_TRUE(sent == own || (std::isnan(sent) && std::isnan(own)));
    }
  }
}

TEST_F(TreeModelExplainerTest, ImpurityImportancesSumToOne) {
  v1::ExplainHeader header;
  header.mutable_importance();
  const Explained all = Explain(header);
  ASSERT_EQ(all.importance.importances_size(), all.info.features_size());
  EXPECT_NEAR(std::accumulate(all.importance.importances().begin(),
                              all.importance.importances().end(), 0.0),
              1, 1e-12);
  EXPECT_EQ(all.importance.deviations_size(), 0);
}

TEST_F(TreeModelExplainerTest, PermutationMeasuresTheMetricOfPredictions) {
  const Predictions predictions = *predictor_->Predict(*table_, 1);
  const int target = *table_->FindColumn("bought");
  double right = 0;
  double loss = 0;
  double rows = 0;
  for (size_t row = 0; row < 120; ++row) {
    if (table_->codes(target)[row] < 0) continue;  // no target: takes no part
    rows += 1;
    const size_t truth = static_cast<size_t>(table_->codes(target)[row]);
    right += predictions.columns[0].texts[row] == table_->levels(target)[truth] ? 1 : 0;
    for (size_t k = 1; k < 4; ++k) {
      if (predictions.columns[k].name == "probability_" + table_->levels(target)[truth]) {
        loss += LogLossOf(predictions.columns[k].numbers[row]);
      }
    }
  }
  v1::ExplainHeader header;
  header.mutable_importance()->set_kind(v1::ImportanceOptions::KIND_PERMUTATION);
  EXPECT_NEAR(Explain(header).importance.quality(), -loss / rows, 1e-12);
  header.mutable_importance()->set_metric(v1::ImportanceOptions::METRIC_ACCURACY);
  const Explained all = Explain(header);
  EXPECT_NEAR(all.importance.quality(), right / rows, 1e-12);
  EXPECT_EQ(all.importance.deviations_size(), all.info.features_size());
  EXPECT_GT(
      *std::max_element(all.importance.importances().begin(), all.importance.importances().end()),
      0);
}

TEST_F(TreeModelExplainerTest, DependenceAveragesPredictions) {
  v1::ExplainHeader header;
  v1::DependenceOptions& options = *header.mutable_dependence();
  options.add_features("color");
  options.set_individual(true);
  const Explained all = Explain(header);
  ASSERT_EQ(all.dependence.axes_size(), 1);
  EXPECT_EQ(all.dependence.axes(0).levels_size(), 3);
  ASSERT_EQ(all.dependence.means_size(), 9);
  ASSERT_EQ(all.dependence.individual_size(), 120 * 9);
  for (int i = 0; i < 9; ++i) {
    double sum = 0;
    for (int row = 0; row < 120; ++row) sum += all.dependence.individual(row * 9 + i);
    EXPECT_NEAR(all.dependence.means(i), sum / 120, 1e-12);
  }
  // Probabilities of each point sum to 1, here and where the paths' shares stand for the rows.
  options.set_individual(false);
  options.set_path_dependent(true);
  for (const Explained& one : {all, Explain(header)}) {
    for (int point = 0; point < 3; ++point) {
      EXPECT_NEAR(one.dependence.means(3 * point) + one.dependence.means(3 * point + 1) +
                      one.dependence.means(3 * point + 2),
                  1, 1e-12);
    }
  }
}

TEST_F(TreeModelExplainerTest, RefusesWhatDoesNotFit) {
  v1::ExplainHeader header;
  header.add_outputs("nobody");
  EXPECT_THAT(Refused(header), ElementsAre("header.outputs[0]"));
  header.set_outputs(0, "yes");
  header.add_outputs("yes");
  EXPECT_THAT(Refused(header), ElementsAre("header.outputs[1]"));
  header.clear_outputs();
  header.mutable_shap()->set_method(v1::ShapOptions::METHOD_INTERVENTIONAL);
  header.mutable_shap()->set_interactions(true);
  EXPECT_THAT(Refused(header), ElementsAre("header.shap.interactions"));
  header.mutable_shap()->Clear();
  header.mutable_shap()->set_background_dataset("projects/p/datasets/d");
  EXPECT_THAT(Refused(header), ElementsAre("header.shap.background_dataset"));

  header.mutable_importance()->set_metric(v1::ImportanceOptions::METRIC_R2);
  EXPECT_THAT(Refused(header), ElementsAre("header.importance.metric", "header.importance.metric"));
  header.mutable_importance()->set_kind(v1::ImportanceOptions::KIND_PERMUTATION);
  EXPECT_THAT(Refused(header), ElementsAre("header.importance.metric"));
  header.mutable_importance()->clear_metric();
  header.mutable_importance()->set_weight_column("color");
  EXPECT_THAT(Refused(header), ElementsAre("header.importance.weight_column"));

  header.mutable_dependence()->add_features("color");
  header.mutable_dependence()->add_features("nothing");
  EXPECT_THAT(Refused(header), ElementsAre("header.dependence.features[1]"));
  header.mutable_dependence()->set_features(1, "color");
  EXPECT_THAT(Refused(header), ElementsAre("header.dependence.features[1]"));
  header.mutable_dependence()->mutable_features()->RemoveLast();
  header.mutable_dependence()->set_individual(true);
  header.mutable_dependence()->set_path_dependent(true);
  EXPECT_THAT(Refused(header), ElementsAre("header.dependence.individual"));
}

TEST_F(TreeModelExplainerTest, StopsWhenAsked) {
  v1::ExplainHeader importance;
  importance.mutable_importance()->set_kind(v1::ImportanceOptions::KIND_PERMUTATION);
  v1::ExplainHeader dependence;
  dependence.mutable_dependence()->add_features("color");
  for (const v1::ExplainHeader& header : {v1::ExplainHeader(), importance, dependence}) {
    ExplanationRequest request = RequestFor(header);
    request.check = [] { return absl::CancelledError("enough"); };
    const auto explanation = *predictor_->Explain(std::move(request));
    v1::ExplainResponse message;
    absl::StatusOr<bool> more = true;
    while (more.ok() && *more) more = explanation->Next(message);
    EXPECT_EQ(more.status(), absl::CancelledError("enough"));
  }
}

TEST(TreeModelExplainerLinkTest, ExplainsTheScoreBehindALink) {
  Tree tree;
  tree.feature = {0, -1, -1};
  tree.threshold = {0.5, 0, 0};
  tree.left = {1, -1, -1};
  tree.right = {2, -1, -1};
  tree.missing_left = {0, 0, 0};
  tree.weight = {4, 1, 3};
  tree.row_count = {4, 1, 3};
  tree.impurity = {1, 0, 0};
  tree.mean = tree.value = {0, -2, 1};
  TreeEnsemble ensemble;
  ensemble.trees = {tree};
  ensemble.combination = TreeCombination::kSum;
  ensemble.link = Link::kLogistic;
  ensemble.base = {0.25};
  v1::TreeModel model;
  model.add_features()->set_name("x");
  model.mutable_features(0)->set_type(v1::COLUMN_TYPE_NUMERIC);
  model.add_targets("sick");
  model.add_classes("no");
  model.add_classes("yes");
  model.set_output(v1::TreeModel::OUTPUT_PROBABILITIES);
  EnsembleToProto(ensemble, model);
  const auto predictor = MakeTreeModelPredictor(model);
  ASSERT_TRUE(predictor.ok()) << predictor.status();
  ExplanationRequest request;
  request.header.mutable_shap();
  FillDefaults(request.header);
  request.table = *MakeTable({{"x", v1::COLUMN_TYPE_NUMERIC, {0, 1}, {}, {}}});
  request.background = request.table;
  const auto explanation = (*predictor)->Explain(request);
  ASSERT_TRUE(explanation.ok()) << explanation.status();
  v1::ExplainResponse message;
  ASSERT_TRUE(*(*explanation)->Next(message));
  EXPECT_EQ(message.info().scale(), v1::ExplanationInfo::SCALE_LOG_ODDS);
  EXPECT_THAT(message.info().outputs(), ElementsAre("yes"));
  EXPECT_DOUBLE_EQ(message.info().base_values(0), 0.25 + (-2 + 3) / 4.0);
  message.Clear();
  ASSERT_TRUE(*(*explanation)->Next(message));
  EXPECT_THAT(message.shap().values(),
              ElementsAre(testing::DoubleEq(-2.25), testing::DoubleEq(0.75)));
}

}  // namespace
}  // namespace trainyard
