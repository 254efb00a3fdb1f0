#include "core/algorithms/registry.h"

#include "core/algorithms/convex_relu/convex_relu.h"
#include "core/algorithms/diagnostic/diagnostic.h"
#include "core/algorithms/hierarchical_shrinkage/hierarchical_shrinkage.h"
#include "core/algorithms/quant_bnb/quant_bnb.h"

namespace trainyard {

const std::vector<const Algorithm*>& AllAlgorithms() {
  // One line per algorithm, in alphabetical order.
  static const auto* const kAlgorithms = new std::vector<const Algorithm*>{
      &ConvexReluAlgorithm(),
      &DiagnosticAlgorithm(),
      &HierarchicalShrinkageAlgorithm(),
      &QuantBnbAlgorithm(),
  };
  return *kAlgorithms;
}

const Algorithm* FindAlgorithm(std::string_view name) {
  for (const Algorithm* algorithm : AllAlgorithms()) {
    if (algorithm->name() == name) return algorithm;
  }
  return nullptr;
}

std::string_view AlgorithmNameOf(const v1::TrainingSpec& spec) {
  const google::protobuf::OneofDescriptor* specs =
      v1::TrainingSpec::descriptor()->FindOneofByName("spec");
  const google::protobuf::FieldDescriptor* set =
      spec.GetReflection()->GetOneofFieldDescriptor(spec, specs);
  return set == nullptr ? std::string_view() : std::string_view(set->name());
}

}  // namespace trainyard
