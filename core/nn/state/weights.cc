#include "core/nn/state/weights.h"

#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/nn/state/tensor_bytes.h"

namespace trainyard::nn {
namespace {

std::vector<int64_t> SizesOf(const Tensor& tensor) {
  const std::span<const int64_t> dims = tensor.shape().dims();
  return {dims.begin(), dims.end()};
}

TensorType FileTypeOf(DType type) {
  return type == DType::kFloat32 ? TensorType::kF32 : TensorType::kF64;
}

absl::Status CheckTensor(const Parameter& parameter, const SafetensorsFile& file) {
  const auto found = file.tensors().find(parameter.name());
  if (found == file.tensors().end()) {
    return absl::DataLossError(absl::StrCat("weights: there is no tensor ", parameter.name()));
  }
  const TensorView& view = found->second;
  if (view.shape != SizesOf(parameter.value())) {
    return absl::DataLossError(absl::StrCat("weights: ", parameter.name(), " is of shape [",
                                            absl::StrJoin(view.shape, ", "), "]; the model has ",
                                            parameter.value().shape().ToString()));
  }
  if (view.type != TensorType::kF32 && view.type != TensorType::kF64) {
    return absl::DataLossError(absl::StrCat("weights: ", parameter.name(), " is of type ",
                                            TensorTypeName(view.type), "; expected F32 or F64"));
  }
  return absl::OkStatus();
}

template <typename T>
Tensor TensorOf(Device& device, const Shape& shape, const TensorView& view) {
  std::vector<T> values(view.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), view.bytes.data(), view.bytes.size());
  return Tensor::FromValues(device, shape, std::span<const T>(values));
}

void Assign(const Tensor& value, const TensorView& view) {
  value.CopyFrom(view.type == TensorType::kF32
                     ? TensorOf<float>(value.device(), value.shape(), view)
                     : TensorOf<double>(value.device(), value.shape(), view));
}

}  // namespace

absl::Status WriteWeights(const ParameterSet& parameters, const std::filesystem::path& file,
                          const std::map<std::string, std::string>& metadata,
                          const std::function<absl::Status()>& check) {
  std::vector<std::string> bytes;
  bytes.reserve(parameters.all().size());
  std::vector<TensorView> views;
  for (const auto& parameter : parameters.all()) {
    const Tensor whole = parameter->value().Contiguous();
    bytes.emplace_back(whole.bytes(), '\0');
    whole.device().CopyToHost(bytes.back().data(), whole.raw_data(), whole.bytes());
    views.push_back({parameter->name(), FileTypeOf(whole.dtype()), SizesOf(whole), bytes.back()});
  }
  return WriteSafetensors(file, std::move(views), metadata, check);
}

absl::Status ReadWeights(const SafetensorsFile& file, const ParameterSet& parameters) {
  for (const auto& parameter : parameters.all()) {
    TY_RETURN_IF_ERROR(CheckTensor(*parameter, file));
  }
  for (const auto& [name, view] : file.tensors()) {
    if (parameters.Find(name) == nullptr) {
      return absl::DataLossError(absl::StrCat("weights: the model has no parameter ", name));
    }
  }
  for (const auto& parameter : parameters.all()) {
    Assign(parameter->value(), file.tensors().find(parameter->name())->second);
  }
  return absl::OkStatus();
}

void PutWeights(ByteWriter& writer, const ParameterSet& parameters) {
  writer.Put(static_cast<uint64_t>(parameters.all().size()));
  for (const auto& parameter : parameters.all()) {
    writer.PutText(parameter->name());
    PutTensor(writer, parameter->value());
  }
}

absl::Status TakeWeights(ByteReader& reader, const ParameterSet& parameters) {
  const auto count = reader.Take<uint64_t>();
  if (count != parameters.all().size()) {
    return absl::DataLossError(absl::StrCat("checkpoint: ", count, " parameters; the model has ",
                                            parameters.all().size()));
  }
  for (uint64_t i = 0; i < count; ++i) {
    const std::string name(reader.TakeText());
    const Parameter* const parameter = parameters.Find(name);
    if (parameter == nullptr) {
      return absl::DataLossError(absl::StrCat("checkpoint: the model has no parameter ", name));
    }
    TY_RETURN_IF_ERROR(TakeTensorInto(reader, name, parameter->value()));
  }
  return absl::OkStatus();
}

}  // namespace trainyard::nn
