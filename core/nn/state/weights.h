// Weights in safetensors files.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "core/base/byte_stream.h"
#include "core/model_io/safetensors.h"
#include "core/nn/parameter.h"

namespace trainyard::nn {

// Writes all parameters under their names; see WriteSafetensors for `metadata`, `check` and errors.
absl::Status WriteWeights(const ParameterSet& parameters, const std::filesystem::path& file,
                          const std::map<std::string, std::string>& metadata,
                          const std::function<absl::Status()>& check);

// Gives every parameter the value of the tensor of its name; float32 and float64 are converted.
// DATA_LOSS, and no value changed, when a tensor is missing, of another shape or type, or belongs
// to no parameter.
absl::Status ReadWeights(const SafetensorsFile& file, const ParameterSet& parameters);

// The same in the bytes of a checkpoint.
void PutWeights(ByteWriter& writer, const ParameterSet& parameters);
// DATA_LOSS when they do not fit; some values may be changed then.
absl::Status TakeWeights(ByteReader& reader, const ParameterSet& parameters);

}  // namespace trainyard::nn
