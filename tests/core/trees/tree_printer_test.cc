#include "core/trees/tree_printer.h"

#include <cmath>

#include "core/trees/shrinkage.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "tests/core/trees/tree_test_data.h"

namespace trainyard {
namespace {

// age <= 40 or missing, then color in {red}; two outputs in the last case.
class TreePrinterTest : public testing::Test {
 protected:
  TreePrinterTest() {
    TrainingSet set;
    set.rows = 6;
    set.AddNumbers({30, 30, 35, 45, 50, kMissing});
    set.AddCodes({0, 1, 1, 1, 1, 1}, 2);
    set.values = {1, 2, 2, 8, 8, 2};
    tree_ = Grow(set, DefaultCart());
    age_.set_name("age");
    color_.set_name("color \"x\"\n");
    color_.add_levels("red");
    color_.add_levels("blue");
    columns_ = {&age_, &color_};
  }

  TreeNames names() const { return {columns_, {}}; }

  v1::ColumnSchema age_;
  v1::ColumnSchema color_;
  std::vector<const v1::ColumnSchema*> columns_;
  Tree tree_;
};

TEST_F(TreePrinterTest, WritesOneLinePerNode) {
  EXPECT_EQ(TreeToText(tree_, names(), 10000),
            "all rows: N 6, mean 3.83333\n"
            "  age <= 40 or missing: N 4, mean 1.75\n"
            "    color \"x\"  in {red}: N 1, mean 1\n"
            "    not color \"x\"  in {red}: N 3, mean 2\n"
            "  not age <= 40 or missing: N 2, mean 8\n");
  Shrink(v1::HierarchicalShrinkageSpec::SCHEME_HIERARCHICAL, 6, tree_);
  EXPECT_EQ(TreeToText(tree_, {}, 10000),
            "all rows: N 6, mean 3.83333\n"
            "  x0 <= 40 or missing: N 4, mean 1.75, shrunk 2.79167\n"
            "    x1 in {0}: N 1, mean 1, shrunk 2.49167\n"
            "    not x1 in {0}: N 3, mean 2, shrunk 2.89167\n"
            "  not x0 <= 40 or missing: N 2, mean 8, shrunk 5.91667\n");
}

TEST_F(TreePrinterTest, CutsLongTextAtALine) {
  const std::string text = TreeToText(tree_, names(), 80);
  EXPECT_LE(text.size(), 80u);
  EXPECT_EQ(text,
            "all rows: N 6, mean 3.83333\n"
            "  age <= 40 or missing: N 4, mean 1.75\n"
            "… cut\n");
}

TEST_F(TreePrinterTest, WritesGraphviz) {
  const std::string dot = *TreeToDot(tree_, names());
  EXPECT_TRUE(dot.starts_with("digraph tree {"));
  EXPECT_NE(dot.find("n0 -> n1 [label=\"yes\"]"), std::string::npos);
  EXPECT_NE(dot.find("color \\\"x\\\"  in {red}"), std::string::npos);
}

TEST_F(TreePrinterTest, WritesJsonThatReadsBack) {
  tree_.threshold[0] = 0.1 + 0.2;
  google::protobuf::Struct parsed;
  const std::string json = *TreeToJson(tree_, names());
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(json, &parsed).ok()) << json;
  const auto& nodes = parsed.fields().at("nodes").list_value();
  ASSERT_EQ(nodes.values_size(), tree_.node_count());
  const auto& root = nodes.values(0).struct_value().fields();
  EXPECT_EQ(root.at("feature").string_value(), "age");
  EXPECT_EQ(root.at("threshold").number_value(), 0.1 + 0.2);
  EXPECT_EQ(root.at("missing").string_value(), "left");
  EXPECT_EQ(root.at("weight").number_value(), 6);
  const auto& second = nodes.values(1).struct_value().fields();
  EXPECT_EQ(second.at("feature").string_value(), "color \"x\"\n");
  EXPECT_EQ(second.at("left_levels").list_value().values(0).string_value(), "red");
  EXPECT_FALSE(nodes.values(2).struct_value().fields().contains("feature"));
}

TEST_F(TreePrinterTest, WritesNothingWhereTheTreeIsTooLong) {
  const size_t dot = TreeToDot(tree_, names())->size();
  EXPECT_TRUE(TreeToDot(tree_, names(), dot).has_value());
  EXPECT_FALSE(TreeToDot(tree_, names(), dot - 1).has_value());
  const size_t json = TreeToJson(tree_, names())->size();
  EXPECT_TRUE(TreeToJson(tree_, names(), json).has_value());
  EXPECT_FALSE(TreeToJson(tree_, names(), json - 1).has_value());
}

TEST_F(TreePrinterTest, NamesTheSplitOfMissingValues) {
  tree_.threshold[0] = HUGE_VAL;
  tree_.missing_left[0] = 0;
  EXPECT_NE(TreeToText(tree_, names(), 10000).find("  age is present:"), std::string::npos);
  EXPECT_NE(TreeToJson(tree_, names())->find("\"threshold\": \"Infinity\""), std::string::npos);
}

}  // namespace
}  // namespace trainyard
