// Costs of errors: what is searched, predicted and measured by them.
#include <algorithm>
#include <map>
#include <string>

#include "core/algorithms/hierarchical_shrinkage/hierarchical_shrinkage.h"
#include "gmock/gmock.h"
#include "tests/core/algorithms/quant_bnb/job_test_support.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

class QuantBnbCostsTest : public testing::Test {
 protected:
  QuantBnbCostsTest() {
    const struct {
      const char* actual;
      const char* predicted;
      double cost;
    } costs[] = {{"yes", "no", 6}, {"yes", "maybe", 6}, {"maybe", "no", 0.25}};
    for (const auto& c : costs) {
      v1::MisclassificationCost& added = *spec_.mutable_quant_bnb()->add_costs();
      added.set_actual(c.actual);
      added.set_predicted(c.predicted);
      added.set_cost(c.cost);
    }
  }

  double CostOf(const std::string& actual, const std::string& predicted) const {
    if (actual == predicted) return 0;
    for (const v1::MisclassificationCost& cost : spec_.quant_bnb().costs()) {
      if (cost.actual() == actual && cost.predicted() == predicted) return cost.cost();
    }
    return 1;
  }

  double TotalCost(const Predictions& predictions, const Table& table) const {
    double total = 0;
    for (int64_t row = 0; row < table.row_count(); ++row) {
      total += CostOf(table.TextAt(row, 3), predictions.columns[0].texts[static_cast<size_t>(row)]);
    }
    return total;
  }

  v1::TrainingSpec spec_ = SpecOf(1);
};

TEST_F(QuantBnbCostsTest, PredictionsCostWhatTheReportSays) {
  const auto table = MakeColors();
  FakeTrainingContext context;
  const auto result = Train(table, spec_, context);
  ASSERT_TRUE(result.ok()) << result.status();
  const Predictions predictions = PredictWith(result->manifest, context, *table);
  EXPECT_NEAR(TotalCost(predictions, *table), result->report.quant_bnb().loss(), 1e-9);
  EXPECT_NEAR(result->report.train_metrics().at("cost"), result->report.quant_bnb().loss() / 180,
              1e-12);
  // The costs matter.
  v1::TrainingSpec plain = SpecOf(1);
  FakeTrainingContext other;
  const auto without = Train(table, plain, other);
  ASSERT_TRUE(without.ok()) << without.status();
  EXPECT_GT(TotalCost(PredictWith(without->manifest, other, *table), *table),
            result->report.quant_bnb().loss() + 1);
}

TEST_F(QuantBnbCostsTest, ShrunkModelsPredictByThemToo) {
  const auto table = MakeColors();
  FakeTrainingContext context;
  const auto result = Train(table, spec_, context);
  ASSERT_TRUE(result.ok()) << result.status();
  FakeTrainingContext shrinking;
  shrinking.models["projects/p/models/m"] = AsInput(*result, context);
  v1::TrainingSpec shrink = MakeSpec();
  v1::HierarchicalShrinkageSpec& own = *shrink.mutable_hierarchical_shrinkage();
  own.set_base_model("projects/p/models/m");
  own.set_lambda(0);
  own.mutable_input()->mutable_split()->set_test_fraction(0);
  const auto same = TrainOn(table, shrink, shrinking);
  ASSERT_TRUE(same.ok()) << same.status();
  const auto predict = [&](const TrainingContext& of) {
    const auto predictor =
        HierarchicalShrinkageAlgorithm().LoadPredictor(same->manifest, of.model_folder());
    EXPECT_TRUE(predictor.ok()) << predictor.status();
    return *(*predictor)->Predict(*table, 1);
  };
  EXPECT_EQ(predict(shrinking).columns[0].texts,
            PredictWith(result->manifest, context, *table).columns[0].texts);
  EXPECT_EQ(same->report.train_metrics().at("cost"), result->report.train_metrics().at("cost"));
  // Shrunk to the mean, every row has the class that is cheapest for all.
  FakeTrainingContext constant;
  constant.models = shrinking.models;
  own.set_lambda(1e12);
  ASSERT_TRUE(TrainOn(table, shrink, constant).ok());
  const Predictions of_mean = predict(constant);
  std::map<std::string, double> cost_of;
  for (const char* label : {"maybe", "no", "yes"}) {
    for (int64_t row = 0; row < 180; ++row) cost_of[label] += CostOf(table->TextAt(row, 3), label);
  }
  const auto cheapest = std::min_element(cost_of.begin(), cost_of.end(),
                                         [](auto& a, auto& b) { return a.second < b.second; });
  EXPECT_THAT(of_mean.columns[0].texts, testing::Each(cheapest->first));
}

TEST_F(QuantBnbCostsTest, ALabelThatNoUsedRowHasIsRefused) {
  // "maybe" occurs only where the weight is 0.
  TableColumn x{"x", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn weight{"w", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn target{"target", v1::COLUMN_TYPE_CATEGORICAL, {}, {}, {"maybe", "no", "yes"}};
  for (int i = 0; i < 60; ++i) {
    x.numbers.push_back(i);
    target.codes.push_back(i % 3);
    weight.numbers.push_back(i % 3 == 0 ? 0 : 1);
  }
  spec_.mutable_quant_bnb()->mutable_input()->set_weight_column("w");
  FakeTrainingContext context;
  const auto status = Train(*MakeTable({x, weight, target}), spec_, context).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("costs[1].predicted is \"maybe\""));
  EXPECT_THAT(std::string(status.message()), HasSubstr("must be one of no, yes"));
}

}  // namespace
}  // namespace trainyard
