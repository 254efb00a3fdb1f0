#include "core/algorithms/tree_model_predictor.h"

#include <algorithm>

#include "gmock/gmock.h"
#include "tests/core/algorithms/train_test_support.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

class TreeModelPredictorTest : public testing::Test {
 protected:
  TreeModelPredictorTest() : table_(MakeMixedTable()) {
    v1::TrainingSpec spec = MakeSpec();
    spec.mutable_hierarchical_shrinkage()->set_lambda(2);
    const auto result = TrainOn(table_, spec, context_);
    EXPECT_TRUE(result.ok()) << result.status();
    manifest_ = result->manifest;
    predictor_ =
        *HierarchicalShrinkageAlgorithm().LoadPredictor(manifest_, context_.model_folder());
  }

  Predictions Predict(const Table& table) {
    const auto predictions = predictor_->Predict(table, 1);
    EXPECT_TRUE(predictions.ok()) << predictions.status();
    return *predictions;
  }

  FakeTrainingContext context_;
  std::shared_ptr<const Table> table_;
  v1::ModelManifest manifest_;
  std::unique_ptr<Predictor> predictor_;
};

TEST_F(TreeModelPredictorTest, GivesClassAndProbabilities) {
  const Predictions predictions = Predict(*table_);
  ASSERT_EQ(predictions.columns.size(), 4u);
  EXPECT_EQ(predictions.columns[0].name, "prediction");
  EXPECT_EQ(predictions.columns[1].name, "probability_maybe");
  EXPECT_EQ(predictions.columns[3].name, "probability_yes");
  const Tree tree = TreeOf(ModelBytes(context_));
  const std::vector<FeatureColumn> features = {FeatureColumn::Numeric(table_->numbers(0)),
                                               FeatureColumn::Categorical(table_->codes(1), 3)};
  const char* labels[] = {"maybe", "no", "yes"};
  for (size_t row = 0; row < 120; ++row) {
    const auto value = tree.ValueOf(FindLeaf(tree, features, static_cast<int64_t>(row)));
    size_t best = 0;
    for (size_t k = 0; k < 3; ++k) {
      EXPECT_EQ(predictions.columns[k + 1].numbers[row], value[k]);
      if (value[k] > value[best]) best = k;
    }
    EXPECT_EQ(predictions.columns[0].texts[row], labels[best]);
  }
}

TEST_F(TreeModelPredictorTest, PredictsTheClassOfLeastCost) {
  v1::TreeModel model = *ParseTreeModel(ModelBytes(context_));
  const double costs[] = {0, 1, 5, 2, 0, 1, 0.5, 3, 0};
  for (const double cost : costs) model.add_costs(cost);
  const auto predictor = MakeTreeModelPredictor(model);
  ASSERT_TRUE(predictor.ok()) << predictor.status();
  const Predictions predictions = *(*predictor)->Predict(*table_, 1);
  const Predictions plain = Predict(*table_);
  const char* labels[] = {"maybe", "no", "yes"};
  int changed = 0;
  for (size_t row = 0; row < 120; ++row) {
    double expected[3] = {};
    for (size_t k = 0; k < 3; ++k) {
      for (size_t c = 0; c < 3; ++c) {
        expected[k] += predictions.columns[c + 1].numbers[row] * costs[3 * c + k];
      }
      EXPECT_EQ(predictions.columns[k + 1].numbers[row], plain.columns[k + 1].numbers[row]);
    }
    const auto best = std::min_element(std::begin(expected), std::end(expected));
    EXPECT_EQ(predictions.columns[0].texts[row], labels[best - std::begin(expected)]);
    changed += predictions.columns[0].texts[row] != plain.columns[0].texts[row] ? 1 : 0;
  }
  EXPECT_GT(changed, 0);
}

TEST_F(TreeModelPredictorTest, FindsColumnsByNameAndLevelsByText) {
  const Predictions expected = Predict(*table_);
  // Other order of columns and levels, another column, and a level that is unknown in a new row.
  TableColumn color{
      "color", v1::COLUMN_TYPE_CATEGORICAL, {}, {}, {"red", "violet", "blue", "green"}};
  TableColumn age{"age", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn other{"other", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  const int32_t new_code[] = {2, 3, 0};
  for (size_t row = 0; row < 120; ++row) {
    const int32_t code = table_->codes(1)[row];
    color.codes.push_back(code < 0 ? 1 : new_code[code]);  // unknown counts as missing
    age.numbers.push_back(table_->numbers(0)[row]);
    other.numbers.push_back(1);
  }
  const Predictions found = Predict(**MakeTable({other, color, age}));
  for (size_t c = 0; c < expected.columns.size(); ++c) {
    EXPECT_EQ(found.columns[c].numbers, expected.columns[c].numbers);
    EXPECT_EQ(found.columns[c].texts, expected.columns[c].texts);
  }
}

TEST_F(TreeModelPredictorTest, NamesEveryColumnThatDoesNotFit) {
  TableColumn age{"age", v1::COLUMN_TYPE_CATEGORICAL, {}, {0, 1}, {"old", "young"}};
  const auto status = predictor_->Predict(**MakeTable({age}), 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::vector<FieldViolation> violations = ViolationsOf(status);
  ASSERT_EQ(violations.size(), 2u);
  EXPECT_EQ(violations[0].field, "age");
  EXPECT_THAT(violations[0].description, HasSubstr("COLUMN_TYPE_CATEGORICAL"));
  EXPECT_EQ(violations[1].field, "color");
  EXPECT_THAT(violations[1].description, HasSubstr("not in the table"));
}

TEST_F(TreeModelPredictorTest, TakesAColumnWithoutValuesForMissing) {
  TableColumn age{"age", v1::COLUMN_TYPE_NUMERIC, {5, 30}, {}, {}};
  TableColumn color{"color", v1::COLUMN_TYPE_NUMERIC, {NAN, NAN}, {}, {}};
  TableColumn missing{"color", v1::COLUMN_TYPE_CATEGORICAL, {}, {-1, -1}, {"blue"}};
  EXPECT_EQ(Predict(**MakeTable({age, color})).columns[1].numbers,
            Predict(**MakeTable({age, missing})).columns[1].numbers);
}

TEST_F(TreeModelPredictorTest, RefusesDamagedModels) {
  const Algorithm& algorithm = HierarchicalShrinkageAlgorithm();
  const auto file = context_.model_folder() / "tree.pb";
  const std::string good = ModelBytes(context_);
  for (const std::string& bytes : {std::string("garbage"), std::string(), good.substr(0, 60)}) {
    std::filesystem::remove(file);
    ASSERT_TRUE(WriteFileAtomically(FileSystem::Real(), file, bytes).ok());
    EXPECT_EQ(algorithm.LoadPredictor(manifest_, context_.model_folder()).status().code(),
              absl::StatusCode::kDataLoss);
  }
  std::filesystem::remove(file);
  EXPECT_EQ(algorithm.LoadPredictor(manifest_, context_.model_folder()).status().code(),
            absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace trainyard
