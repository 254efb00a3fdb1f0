#include "client/cli/spec_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "client/cli/app.h"
#include "client/cli/errors.h"
#include "client/cli/train_request.h"
#include "proto/schema/violations.h"
#include "trainyard/v1/training_spec.pb.h"

namespace trainyard::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename Spec>
absl::StatusOr<Spec> Parse(const std::vector<std::string>& words) {
  CLI::App app;
  const std::vector<SpecFlag> flags = AddSpecFlags(app, *Spec::descriptor());
  app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  Spec spec;
  const absl::Status status = ApplySpecFlags(flags, spec);
  if (!status.ok()) return status;
  return spec;
}

using Shrinkage = v1::HierarchicalShrinkageSpec;

TEST(SpecFlagsTest, EveryFieldOfEveryAlgorithmHasAFlag) {
  for (const std::string& algorithm : AlgorithmNames()) {
    Context context;
    const auto app = MakeApp(context, {}, true);
    std::string command = algorithm;
    std::replace(command.begin(), command.end(), '_', '-');
    const CLI::App* train = app->get_subcommand("train")->get_subcommand(command);
    const auto* spec = v1::TrainingSpec::descriptor()->FindFieldByName(algorithm)->message_type();
    for (const FieldDoc& field : DescribeFields(*spec)) {
      std::string flag = field.path;
      std::replace(flag.begin(), flag.end(), '_', '-');
      const CLI::Option* option = train->get_option_no_throw("--" + flag);
      if (option == nullptr || option->get_description() != FlagHelp(field)) {
        option = train->get_option_no_throw("--spec." + flag);
      }
      ASSERT_NE(option, nullptr) << algorithm << " " << field.path;
      EXPECT_EQ(option->get_description(), FlagHelp(field));
      EXPECT_FALSE(field.description.empty()) << field.path;
    }
  }
}

TEST(SpecFlagsTest, HelpSaysRangeUnitDefaultAndValues) {
  CLI::App app;
  AddSpecFlags(app, *Shrinkage::descriptor());
  EXPECT_THAT(app.get_option("--folds")->get_description(), HasSubstr("[2 to 100; default 3]"));
  EXPECT_THAT(app.get_option("--cart.min-samples-leaf")->get_description(),
              HasSubstr("[1 to 1e+09; in rows; default 1]"));
  EXPECT_THAT(app.get_option("--scheme")->get_description(),
              HasSubstr("[one of hierarchical, leaf_based, constant; default hierarchical]"));
  EXPECT_THAT(app.get_option("--input.dataset")->get_description(), HasSubstr("required"));
}

TEST(SpecFlagsTest, SetsFields) {
  const auto spec = Parse<Shrinkage>({"--folds", "5", "--cart.max-depth=7", "--scheme", "constant",
                                      "--lambda-grid", "0,1", "--lambda-grid", "10",
                                      "--input.feature-columns", "a,\"b,c\"", "--seed", "-4"});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->folds(), 5);
  EXPECT_EQ(spec->cart().max_depth(), 7);
  EXPECT_EQ(spec->scheme(), Shrinkage::SCHEME_CONSTANT);
  EXPECT_THAT(spec->lambda_grid(), ElementsAre(0, 1, 10));
  EXPECT_THAT(spec->input().feature_columns(), ElementsAre("a", "b,c"));
  EXPECT_EQ(spec->seed(), -4);
  EXPECT_FALSE(spec->has_lambda());
}

TEST(SpecFlagsTest, BooleansNeedNoValue) {
  EXPECT_TRUE(Parse<v1::DiagnosticSpec>({"--ignore-cancellation"})->ignore_cancellation());
  EXPECT_TRUE(
      Parse<v1::DiagnosticSpec>({"--ignore-cancellation", "--steps", "3"})->ignore_cancellation());
  const auto off = Parse<v1::DiagnosticSpec>({"--ignore-cancellation=false"});
  EXPECT_TRUE(off->has_ignore_cancellation());
  EXPECT_FALSE(off->ignore_cancellation());
}

TEST(SpecFlagsTest, ErrorsNameTheFlag) {
  const auto spec = Parse<Shrinkage>({"--cart.max-depth", "deep"});
  EXPECT_EQ(ReasonOf(spec.status()), kUsageReason);
  EXPECT_THAT(std::string(spec.status().message()), HasSubstr("--cart.max-depth"));
  EXPECT_THAT(std::string(spec.status().message()), HasSubstr("\"deep\""));
}

TEST(SpecFlagsTest, TakenNamesGetAPrefix) {
  CLI::App app;
  int other = 0;
  app.add_option("--seed", other);
  const auto flags = AddSpecFlags(app, *Shrinkage::descriptor());
  EXPECT_NE(app.get_option_no_throw("--spec.seed"), nullptr);
  app.parse("--seed 1 --spec.seed 2");
  Shrinkage spec;
  ASSERT_TRUE(ApplySpecFlags(flags, spec).ok());
  EXPECT_EQ(spec.seed(), 2);
  EXPECT_EQ(other, 1);
}

}  // namespace
}  // namespace trainyard::cli
