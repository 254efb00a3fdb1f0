#include "client/cli/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/cli/app.h"

namespace trainyard::cli {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> After(const std::string& line) {
  const std::vector<std::string> words = SplitCommandLine(line);
  Context context;
  const auto app = MakeApp(context, words);
  return Complete(*app, words, [](const std::string& kind) -> std::vector<std::string> {
    return {kind + "-one", kind + "-two"};
  });
}

TEST(SplitCommandLineTest, TakesQuotesOff) {
  EXPECT_THAT(SplitCommandLine("a 'b c'  \"d\\\"e\" f\\ g"),
              ElementsAre("a", "b c", "d\"e", "f g"));
  EXPECT_THAT(SplitCommandLine("a b "), ElementsAre("a", "b", ""));
  EXPECT_THAT(SplitCommandLine(""), ElementsAre(""));
}

TEST(CompletionTest, OffersCommands) {
  EXPECT_THAT(After("trainyard "),
              ElementsAre("completion", "datasets", "jobs", "models", "server", "train"));
  EXPECT_THAT(After("trainyard d"), ElementsAre("datasets"));
  EXPECT_THAT(After("trainyard --json --server x:1 jobs c"), ElementsAre("cancel"));
  EXPECT_THAT(After("trainyard train h"), ElementsAre("hierarchical-shrinkage"));
  EXPECT_THAT(After("trainyard nonsense x"), IsEmpty());
}

TEST(CompletionTest, OffersOptionsOfTheCommandAndOfAll) {
  EXPECT_THAT(After("trainyard jobs list --f"), ElementsAre("--filter"));
  EXPECT_THAT(After("trainyard jobs list --"), Contains("--json"));
  EXPECT_THAT(After("trainyard train hierarchical-shrinkage --cart.max"),
              ElementsAre("--cart.max-depth", "--cart.max-features", "--cart.max-features-number",
                          "--cart.max-leaf-nodes"));
  EXPECT_THAT(After("trainyard train diagnostic --"), Not(Contains("--cart.max-depth")));
}

TEST(CompletionTest, OffersValuesOfEnums) {
  EXPECT_THAT(After("trainyard train hierarchical-shrinkage --cart.criterion "),
              ElementsAre("entropy", "gain_ratio", "gini", "poisson", "squared_error"));
  EXPECT_THAT(After("trainyard train hierarchical-shrinkage --scheme=h"),
              ElementsAre("--scheme=hierarchical"));
  EXPECT_THAT(After("trainyard train diagnostic --ignore-cancellation="),
              ElementsAre("--ignore-cancellation=false", "--ignore-cancellation=true"));
  EXPECT_THAT(After("trainyard train hierarchical-shrinkage --set sch"), ElementsAre("scheme="));
  EXPECT_THAT(After("trainyard train hierarchical-shrinkage --set scheme=c"),
              ElementsAre("scheme=constant"));
  EXPECT_THAT(After("trainyard datasets upload f --kind t"), ElementsAre("table", "text"));
  EXPECT_THAT(After("trainyard datasets upload f --column-type a=n"), ElementsAre("a=numeric"));
}

TEST(CompletionTest, OffersIdsOfResources) {
  EXPECT_THAT(After("trainyard jobs show "), ElementsAre("JOB-one", "JOB-two"));
  EXPECT_THAT(After("trainyard models predict M"), ElementsAre("MODEL-one", "MODEL-two"));
  EXPECT_THAT(After("trainyard datasets show DATASET-t"), ElementsAre("DATASET-two"));
  EXPECT_THAT(After("trainyard train hierarchical-shrinkage --dataset "),
              ElementsAre("DATASET-one", "DATASET-two"));
  EXPECT_THAT(After("trainyard jobs show j "), IsEmpty());
}

TEST(CompletionTest, LeavesFilesToTheShell) {
  EXPECT_THAT(After("trainyard datasets upload "), IsEmpty());
  EXPECT_THAT(After("trainyard train diagnostic --spec "), IsEmpty());
}

TEST(CompletionTest, HidesItsOwnCommand) { EXPECT_THAT(After("trainyard __"), IsEmpty()); }

}  // namespace
}  // namespace trainyard::cli
