// Feeds arbitrary bytes to the readers of model files. The first byte chooses: a safetensors file,
// or an encoding of rows.
#include <google/protobuf/stubs/logging.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/data/dense_encoder.h"
#include "core/model_io/safetensors.h"

namespace trainyard {
namespace {

void Check(bool condition) {
  if (!condition) std::abort();
}

void ReadTensors(std::string_view bytes) {
  const auto file = SafetensorsFile::Parse(bytes);
  if (!file.ok()) {
    Check(file.status().code() == absl::StatusCode::kDataLoss);
    return;
  }
  size_t total = 0;
  for (const auto& [name, tensor] : file->tensors()) {
    total += tensor.bytes.size();
    Check(tensor.bytes.empty() ||
          (tensor.bytes.data() >= bytes.data() &&
           tensor.bytes.data() + tensor.bytes.size() <= bytes.data() + bytes.size()));
    (void)file->Doubles(name, tensor.shape);
    (void)file->Int32s(name, tensor.shape);
  }
  Check(total + 8 <= bytes.size());
}

void ReadEncoding(std::string_view bytes) {
  v1::DenseEncoding encoding;
  if (!encoding.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const auto encoder = DenseEncoder::FromProto(encoding);
  if (!encoder.ok()) {
    Check(encoder.status().code() == absl::StatusCode::kDataLoss);
    return;
  }
  Check(encoder->NumberNames().size() == static_cast<size_t>(encoder->width()));
}

}  // namespace
}  // namespace trainyard

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);  // it would tell of every damaged text
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 1) == 0) {
    trainyard::ReadTensors(bytes);
  } else {
    trainyard::ReadEncoding(bytes);
  }
  return 0;
}
