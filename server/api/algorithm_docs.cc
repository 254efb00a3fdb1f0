#include "server/api/algorithm_docs.h"

#include <string>

#include "proto/schema/field_docs.h"
#include "proto/schema/field_rules.h"

namespace trainyard {

v1::Algorithm SummariseAlgorithm(const Algorithm& algorithm) {
  v1::Algorithm summary;
  summary.set_name(std::string(algorithm.name()));
  summary.set_title(std::string(algorithm.title()));
  summary.set_citation(std::string(algorithm.citation()));
  summary.add_devices(v1::Device::KIND_CPU);
  return summary;
}

v1::Algorithm DescribeAlgorithm(const Algorithm& algorithm) {
  v1::Algorithm description = SummariseAlgorithm(algorithm);
  v1::TrainingSpec& defaults = *description.mutable_defaults();
  const auto* member = v1::TrainingSpec::descriptor()->FindFieldByName(description.name());
  if (member == nullptr || member->message_type() == nullptr) return description;
  defaults.GetReflection()->MutableMessage(&defaults, member);
  FillDefaults(defaults);
  for (const FieldDoc& doc : DescribeFields(*member->message_type())) {
    v1::SpecField& field = *description.add_fields();
    field.set_path(doc.path);
    field.set_type(doc.type);
    field.set_description(doc.description);
    field.set_default_value(doc.default_value);
    if (doc.minimum.has_value()) field.set_minimum(*doc.minimum);
    if (doc.maximum.has_value()) field.set_maximum(*doc.maximum);
    field.set_unit(doc.unit);
    for (const std::string& value : doc.enum_values) field.add_enum_values(value);
    field.set_required(doc.required);
  }
  return description;
}

}  // namespace trainyard
