#include "core/nn/state/tensor_bytes.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace trainyard::nn {

void PutTensor(ByteWriter& writer, const Tensor& tensor) {
  std::string bytes;
  if (tensor.defined()) {
    bytes.resize(tensor.bytes());
    tensor.device().CopyToHost(bytes.data(), tensor.Contiguous().raw_data(), bytes.size());
  }
  writer.PutText(bytes);
}

absl::Status TakeTensorInto(ByteReader& reader, std::string_view name, const Tensor& tensor) {
  const std::string_view bytes = reader.TakeText();
  const size_t expected = tensor.defined() ? tensor.bytes() : 0;
  if (!reader.ok() || bytes.size() != expected) {
    return absl::DataLossError(absl::StrCat("checkpoint: ", bytes.size(), " bytes for ",
                                            std::string(name), " of ", expected));
  }
  if (expected > 0) tensor.device().CopyFromHost(tensor.raw_data(), bytes.data(), bytes.size());
  return absl::OkStatus();
}

}  // namespace trainyard::nn
