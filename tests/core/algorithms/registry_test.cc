#include "core/algorithms/registry.h"

#include <algorithm>

#include "gtest/gtest.h"

namespace trainyard {
namespace {

// Every member of the spec has an algorithm of its name, and the other way round.
TEST(RegistryTest, HoldsOneAlgorithmPerMemberOfTheSpec) {
  const google::protobuf::OneofDescriptor* specs =
      v1::TrainingSpec::descriptor()->FindOneofByName("spec");
  ASSERT_NE(specs, nullptr);
  EXPECT_EQ(AllAlgorithms().size(), static_cast<size_t>(specs->field_count()));
  for (int i = 0; i < specs->field_count(); ++i) {
    const Algorithm* algorithm = FindAlgorithm(specs->field(i)->name());
    ASSERT_NE(algorithm, nullptr) << specs->field(i)->name();
    EXPECT_EQ(algorithm->name(), specs->field(i)->name());
    EXPECT_FALSE(algorithm->title().empty());
    v1::TrainingSpec spec;
    spec.GetReflection()->MutableMessage(&spec, specs->field(i));
    EXPECT_EQ(AlgorithmNameOf(spec), algorithm->name());
  }
  EXPECT_TRUE(
      std::is_sorted(AllAlgorithms().begin(), AllAlgorithms().end(),
                     [](const Algorithm* a, const Algorithm* b) { return a->name() < b->name(); }));
}

TEST(RegistryTest, KnowsNoOtherNames) {
  EXPECT_EQ(FindAlgorithm("nonesuch"), nullptr);
  EXPECT_EQ(FindAlgorithm(""), nullptr);
  EXPECT_EQ(AlgorithmNameOf(v1::TrainingSpec()), "");
}

}  // namespace
}  // namespace trainyard
