// What is printed and written of an explanation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cli/explanation_data.h"
#include "client/cli/explanation_text.h"

namespace trainyard::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::ExplainResponse Info() {
  v1::ExplainResponse message;
  v1::ExplanationInfo& info = *message.mutable_info();
  info.add_features("age, in years");
  info.add_features("b");
  info.add_categorical(false);
  info.add_categorical(true);
  info.add_outputs("yes");
  info.add_base_values(0.5);
  info.set_row_count(2);
  return message;
}

v1::ExplainResponse Shap() {
  v1::ExplainResponse message;
  v1::ShapBlock& block = *message.mutable_shap();
  block.set_row_count(2);
  for (const double value : {0.25, -1.0, 0.75, 2.0}) block.add_values(value);
  for (const double value : {30.0, 1.0, 40.0, 2.0}) block.add_feature_values(value);
  return message;
}

TEST(ExplanationDataTest, WritesShapValuesAsCsv) {
  ExplanationData data;
  EXPECT_EQ(data.Add(Info()), "");
  EXPECT_EQ(data.Add(Shap()),
            "row,output,base,\"age, in years\",b\n0,yes,0.5,0.25,-1\n1,yes,0.5,0.75,2\n");
  v1::ExplainResponse more = Shap();
  more.mutable_shap()->set_first_row(2);
  EXPECT_EQ(data.Add(more), "2,yes,0.5,0.25,-1\n3,yes,0.5,0.75,2\n");
  EXPECT_THAT(data.MeanAbsolute(), ElementsAre(0.5, 1.5));
}

TEST(ExplanationDataTest, WritesInteractionsAsCsv) {
  ExplanationData data;
  data.Add(Info());
  v1::ExplainResponse message = Shap();
  message.mutable_shap()->set_row_count(1);
  message.mutable_shap()->mutable_values()->Truncate(2);
  message.mutable_shap()->mutable_feature_values()->Truncate(2);
  for (const double value : {0.5, -0.25, -0.25, -0.75}) {
    message.mutable_shap()->add_interactions(value);
  }
  EXPECT_EQ(data.Add(message),
            "row,output,feature,\"age, in years\",b\n0,yes,\"age, in years\",0.5,-0.25\n"
            "0,yes,b,-0.25,-0.75\n");
}

TEST(ExplanationTextTest, DrawsBarsGreatestFirst) {
  ExplanationData data;
  data.Add(Info());
  data.Add(Shap());
  Terminal terminal;
  terminal.width = 50;
  EXPECT_EQ(ExplanationText(data, terminal),
            "mean |SHAP value| of yes, 2 rows, base 0.5\n"
            "b                     1.5 ███████████████████████\n"
            "age, in years         0.5 ███████▋\n");
}

TEST(ExplanationTextTest, ShowsImportancesWithTheirDeviations) {
  ExplanationData data;
  data.Add(Info());
  v1::ExplainResponse message;
  message.mutable_importance()->add_importances(-0.1);
  message.mutable_importance()->add_importances(0.4);
  message.mutable_importance()->add_deviations(0.01);
  message.mutable_importance()->add_deviations(0.05);
  message.mutable_importance()->set_quality(0.9);
  EXPECT_EQ(data.Add(message),
            "feature,importance,deviation\n\"age, in years\",-0.1,0.01\nb,0.4,0.05\n");
  const std::string text = ExplanationText(data, Terminal());
  EXPECT_THAT(text, HasSubstr("as they are 0.9"));
  EXPECT_THAT(text, HasSubstr("0.4 ± 0.05"));
  EXPECT_THAT(ExplanationJson(data, "m"), HasSubstr("\"importances\""));
  EXPECT_THAT(ExplanationSvg(data, "m"), HasSubstr("Importances in m"));
}

TEST(ExplanationTextTest, ShowsDependenceOnTwoFeaturesAsATable) {
  ExplanationData data;
  data.Add(Info());
  v1::ExplainResponse message;
  v1::DependenceBlock& block = *message.mutable_dependence();
  block.add_axes()->set_feature("a");
  block.mutable_axes(0)->add_values(1);
  block.mutable_axes(0)->add_values(2);
  block.add_axes()->set_feature("b");
  block.mutable_axes(1)->add_levels("red");
  block.mutable_axes(1)->add_levels("blue");
  for (const double mean : {0.1, 0.2, 0.3, 0.4}) block.add_means(mean);
  EXPECT_EQ(data.Add(message),
            "a,b,row,yes\n1,red,mean,0.1\n1,blue,mean,0.2\n2,red,mean,0.3\n2,blue,mean,0.4\n");
  EXPECT_THAT(ExplanationText(data, Terminal()), HasSubstr("2  blue  0.4"));
  EXPECT_EQ(ExplanationSvg(data, "m"), "");
}

TEST(ExplanationTextTest, JsonHasTheSummary) {
  ExplanationData data;
  data.Add(Info());
  data.Add(Shap());
  const std::string json = ExplanationJson(data, "projects/p/models/m");
  EXPECT_THAT(json, HasSubstr("\"model\": \"projects/p/models/m\""));
  EXPECT_THAT(json, HasSubstr("\"mean_absolute_shap\": [[0.5, 1.5]]"));
}

}  // namespace
}  // namespace trainyard::cli
