// Building of ONNX models, for programs that apply a model without Trainyard.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

namespace onnx {
class GraphProto;
class ModelProto;
class NodeProto;
class TensorProto;
class ValueInfoProto;
}  // namespace onnx

namespace trainyard {

// Versions that are written: those of onnx 1.12, which onnxruntime reads from 1.13 on.
inline constexpr int64_t kOnnxIrVersion = 8;
inline constexpr int64_t kOnnxOpset = 17;
inline constexpr int64_t kOnnxMlOpset = 3;
inline constexpr char kOnnxMlDomain[] = "ai.onnx.ml";

enum class OnnxType { kFloat, kInt64, kString };

// Name of a tensor in the graph.
using OnnxValue = std::string;

struct OnnxAttribute {
  std::string name;
  std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>,
               std::vector<std::string>>
      value;
};

// A graph under construction. Values are named by what makes them, with a number where the name is
// taken; nodes are to be added after those whose values they read. Not thread-safe.
class OnnxModel {
 public:
  // `outputs` are the names of the outputs, which nothing else gets.
  OnnxModel(std::string_view graph_name, const std::vector<std::string>& outputs);
  ~OnnxModel();
  OnnxModel(const OnnxModel&) = delete;
  OnnxModel& operator=(const OnnxModel&) = delete;

  // An input of N rows and `columns` columns, N free. Its name is `name` unless that is taken or
  // empty; `doc` is for people.
  OnnxValue AddInput(std::string_view name, OnnxType type, int64_t columns, std::string_view doc);

  // Constants. Doubles are rounded to float.
  OnnxValue AddFloats(std::span<const double> numbers, std::vector<int64_t> shape);
  OnnxValue AddInt64s(std::span<const int64_t> numbers, std::vector<int64_t> shape);
  OnnxValue AddStrings(std::span<const std::string> texts, std::vector<int64_t> shape);

  // A node with one output, which is returned. `domain` is that of standard operators if empty.
  OnnxValue AddNode(std::string_view op, const std::vector<OnnxValue>& inputs,
                    const std::vector<OnnxAttribute>& attributes = {},
                    std::string_view domain = "");

  // Makes `value` the output `name`, one of those given to the constructor, of N rows and `columns`
  // columns, or N numbers where `columns` is 0.
  void AddOutput(std::string_view name, const OnnxValue& value, OnnxType type, int64_t columns);

  // A text for readers.
  void AddMetadata(std::string_view key, std::string_view value);

  // The model's bytes, the same for the same calls. FAILED_PRECONDITION when a number was beyond
  // the range of float, or the model is beyond the 2 GiB that the format allows.
  absl::StatusOr<std::string> Serialize() const;

 private:
  std::string TakeName(std::string_view wanted);
  onnx::TensorProto& AddTensor(std::vector<int64_t> shape, int32_t type);

  std::unique_ptr<onnx::ModelProto> model_;
  onnx::GraphProto* graph_;  // of model_
  std::set<std::string, std::less<>> taken_;
  int64_t constant_bytes_ = 0;
  bool overflow_ = false;
};

}  // namespace trainyard
