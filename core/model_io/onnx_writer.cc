#include "core/model_io/onnx_writer.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "onnx/onnx.pb.h"

namespace trainyard {
namespace {

constexpr int64_t kLargestModel = (int64_t{1} << 31) - 1;

onnx::TensorProto::DataType DataTypeOf(OnnxType type) {
  switch (type) {
    case OnnxType::kFloat:
      return onnx::TensorProto::FLOAT;
    case OnnxType::kInt64:
      return onnx::TensorProto::INT64;
    case OnnxType::kString:
      return onnx::TensorProto::STRING;
  }
  return onnx::TensorProto::UNDEFINED;
}

void Describe(std::string_view name, OnnxType type, int64_t columns, onnx::ValueInfoProto& info) {
  info.set_name(std::string(name));
  auto& tensor = *info.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(DataTypeOf(type));
  tensor.mutable_shape()->add_dim()->set_dim_param("N");
  if (columns > 0) tensor.mutable_shape()->add_dim()->set_dim_value(columns);
}

// Sets the value of an attribute; one function per type.
struct AttributeSetter {
  onnx::AttributeProto& attribute;

  void operator()(int64_t value) const {
    attribute.set_type(onnx::AttributeProto::INT);
    attribute.set_i(value);
  }
  void operator()(float value) const {
    attribute.set_type(onnx::AttributeProto::FLOAT);
    attribute.set_f(value);
  }
  void operator()(const std::string& value) const {
    attribute.set_type(onnx::AttributeProto::STRING);
    attribute.set_s(value);
  }
  void operator()(const std::vector<int64_t>& values) const {
    attribute.set_type(onnx::AttributeProto::INTS);
    attribute.mutable_ints()->Add(values.begin(), values.end());
  }
  void operator()(const std::vector<float>& values) const {
    attribute.set_type(onnx::AttributeProto::FLOATS);
    attribute.mutable_floats()->Add(values.begin(), values.end());
  }
  void operator()(const std::vector<std::string>& values) const {
    attribute.set_type(onnx::AttributeProto::STRINGS);
    for (const std::string& value : values) attribute.add_strings(value);
  }
};

}  // namespace

OnnxModel::OnnxModel(std::string_view graph_name, const std::vector<std::string>& outputs)
    : model_(std::make_unique<onnx::ModelProto>()),
      graph_(model_->mutable_graph()),
      taken_(outputs.begin(), outputs.end()) {
  model_->set_ir_version(kOnnxIrVersion);
  model_->set_producer_name("trainyard");
  onnx::OperatorSetIdProto& standard = *model_->add_opset_import();
  standard.set_domain("");
  standard.set_version(kOnnxOpset);
  onnx::OperatorSetIdProto& ml = *model_->add_opset_import();
  ml.set_domain(kOnnxMlDomain);
  ml.set_version(kOnnxMlOpset);
  graph_->set_name(std::string(graph_name));
}

OnnxModel::~OnnxModel() = default;

std::string OnnxModel::TakeName(std::string_view wanted) {
  const std::string base = wanted.empty() ? "value" : std::string(wanted);
  std::string name = base;
  for (int number = 2; !taken_.insert(name).second; ++number) {
    name = absl::StrCat(base, "_", number);
  }
  return name;
}

OnnxValue OnnxModel::AddInput(std::string_view name, OnnxType type, int64_t columns,
                              std::string_view doc) {
  const std::string own = TakeName(name);
  onnx::ValueInfoProto& input = *graph_->add_input();
  Describe(own, type, columns, input);
  input.set_doc_string(std::string(doc));
  return own;
}

onnx::TensorProto& OnnxModel::AddTensor(std::vector<int64_t> shape, int32_t type) {
  onnx::TensorProto& tensor = *graph_->add_initializer();
  tensor.set_name(TakeName("constant"));
  tensor.set_data_type(type);
  tensor.mutable_dims()->Add(shape.begin(), shape.end());
  return tensor;
}

OnnxValue OnnxModel::AddFloats(std::span<const double> numbers, std::vector<int64_t> shape) {
  constant_bytes_ += static_cast<int64_t>(numbers.size() * sizeof(float));
  onnx::TensorProto& tensor = AddTensor(std::move(shape), onnx::TensorProto::FLOAT);
  if (constant_bytes_ > kLargestModel) return tensor.name();
  std::vector<float> floats;
  floats.reserve(numbers.size());
  for (const double number : numbers) {
    overflow_ = overflow_ || !(std::abs(number) <= std::numeric_limits<float>::max());
    floats.push_back(static_cast<float>(number));
  }
  tensor.set_raw_data(floats.data(), floats.size() * sizeof(float));
  return tensor.name();
}

OnnxValue OnnxModel::AddInt64s(std::span<const int64_t> numbers, std::vector<int64_t> shape) {
  constant_bytes_ += static_cast<int64_t>(numbers.size_bytes());
  onnx::TensorProto& tensor = AddTensor(std::move(shape), onnx::TensorProto::INT64);
  tensor.set_raw_data(numbers.data(), numbers.size_bytes());
  return tensor.name();
}

OnnxValue OnnxModel::AddStrings(std::span<const std::string> texts, std::vector<int64_t> shape) {
  onnx::TensorProto& tensor = AddTensor(std::move(shape), onnx::TensorProto::STRING);
  for (const std::string& text : texts) tensor.add_string_data(text);
  return tensor.name();
}

OnnxValue OnnxModel::AddNode(std::string_view op, const std::vector<OnnxValue>& inputs,
                             const std::vector<OnnxAttribute>& attributes,
                             std::string_view domain) {
  onnx::NodeProto& node = *graph_->add_node();
  node.set_op_type(std::string(op));
  if (!domain.empty()) node.set_domain(std::string(domain));
  for (const OnnxValue& input : inputs) node.add_input(input);
  for (const OnnxAttribute& given : attributes) {
    onnx::AttributeProto& attribute = *node.add_attribute();
    attribute.set_name(given.name);
    std::visit(AttributeSetter{attribute}, given.value);
  }
  const std::string output = TakeName(op);
  node.set_name(output);
  node.add_output(output);
  return output;
}

void OnnxModel::AddOutput(std::string_view name, const OnnxValue& value, OnnxType type,
                          int64_t columns) {
  onnx::NodeProto& node = *graph_->add_node();
  node.set_op_type("Identity");
  node.set_name(absl::StrCat("output ", std::string(name)));
  node.add_input(value);
  node.add_output(std::string(name));
  Describe(name, type, columns, *graph_->add_output());
}

void OnnxModel::AddMetadata(std::string_view key, std::string_view value) {
  onnx::StringStringEntryProto& entry = *model_->add_metadata_props();
  entry.set_key(std::string(key));
  entry.set_value(std::string(value));
}

absl::StatusOr<std::string> OnnxModel::Serialize() const {
  if (overflow_) {
    return absl::FailedPreconditionError("a number of the model is beyond the range of float");
  }
  if (constant_bytes_ > kLargestModel ||
      model_->ByteSizeLong() > static_cast<size_t>(kLargestModel)) {
    return absl::FailedPreconditionError("the model needs more than the 2 GiB of an ONNX file");
  }
  return model_->SerializeAsString();
}

}  // namespace trainyard
