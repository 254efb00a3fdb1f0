// nn_peer_driver op NAME IN.safetensors OUT.safetensors
//   Applies an operation to the tensors a, b, c, … of IN, differentiates sum(seed * y), and writes
//   y and the gradients da, db, ….
// nn_peer_driver optimizer KIND IN.safetensors OUT.safetensors
//   Steps on w by the gradients g0, g1, …, at rate 0.01, and writes w after each as w0, w1, ….
// nn_peer_driver gpt LAYERS HEADS IN.safetensors OUT.safetensors
//   A stack of blocks with the weights of IN: loss and all gradients for `tokens` and `targets`,
//   then the weights after ten steps of AdamW at rate 0.001.
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model_io/safetensors.h"
#include "core/nn/ops/attention.h"
#include "core/nn/ops/convolution.h"
#include "core/nn/ops/cross_entropy.h"
#include "core/nn/ops/losses.h"
#include "core/nn/ops/matmul.h"
#include "core/nn/ops/norms.h"
#include "core/nn/ops/softmax.h"
#include "core/nn/ops/unary.h"
#include "core/nn/optim/gradient_scaling.h"
#include "core/nn/optim/optimizer.h"
#include "core/nn/state/weights.h"
#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/tensor_error.h"
#include "tests/core/nn/gpt_model.h"
#include "tests/peers/peer_io.h"

namespace trainyard::nn {
namespace {

using Operation = std::function<Variable(std::span<const Variable>, const Tensor& targets)>;

template <UnaryOp op>
Variable Unary(std::span<const Variable> in, const Tensor&) {
  return Apply(op, in[0]);
}

const std::map<std::string, Operation>& Operations() {
  static const std::map<std::string, Operation> operations = {
      {"gelu", Unary<UnaryOp::kGelu>},
      {"silu", Unary<UnaryOp::kSilu>},
      {"softplus", Unary<UnaryOp::kSoftplus>},
      {"tanh", Unary<UnaryOp::kTanh>},
      {"sigmoid", Unary<UnaryOp::kSigmoid>},
      {"softmax", [](auto in, const Tensor&) { return Softmax(in[0]); }},
      {"log_softmax", [](auto in, const Tensor&) { return LogSoftmax(in[0]); }},
      {"linear", [](auto in, const Tensor&) { return LinearProduct(in[0], in[1], in[2]); }},
      {"batched_matmul", [](auto in, const Tensor&) { return Matmul(in[0], in[1]); }},
      {"layer_norm",
       [](auto in, const Tensor&) {
         return Normalize(NormKind::kLayer, in[0], in[1], in[2], 1e-5);
       }},
      {"rms_norm",
       [](auto in, const Tensor&) {
         return Normalize(NormKind::kRms, in[0], in[1], Variable(), 1e-6);
       }},
      {"attention",
       [](auto in, const Tensor&) { return Attention(in[0], in[1], in[2], {.heads = 2}); }},
      {"causal_attention",
       [](auto in, const Tensor&) {
         return Attention(in[0], in[1], in[2], {.heads = 2, .causal = true});
       }},
      {"convolution", [](auto in, const Tensor&) { return Convolve1d(in[0], in[1], in[2], 2); }},
      {"cross_entropy",
       [](auto in, const Tensor& targets) {
         return CrossEntropy(in[0], targets, {.divisor = static_cast<double>(targets.elements())});
       }},
      {"linear_cross_entropy",
       [](auto in, const Tensor& targets) {
         return LinearCrossEntropy(in[0], in[1], in[2], targets,
                                   {.divisor = static_cast<double>(targets.elements())}, 64);
       }},
      {"binary_cross_entropy",
       [](auto in, const Tensor&) { return BinaryCrossEntropy(in[0], in[1].Detached()); }},
      {"squared_error", [](auto in, const Tensor&) { return SquaredError(in[0], in[1]); }},
      {"absolute_error", [](auto in, const Tensor&) { return AbsoluteError(in[0], in[1]); }},
  };
  return operations;
}

template <typename T>
Tensor TensorOf(Device& device, const TensorView& view) {
  std::vector<T> values(view.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), view.bytes.data(), view.bytes.size());
  return Tensor::FromValues(device, Shape(std::span<const int64_t>(view.shape)),
                            std::span<const T>(values));
}

// All tensors of a file, on the device.
std::map<std::string, Tensor> TensorsOf(Device& device, const SafetensorsFile& file) {
  std::map<std::string, Tensor> tensors;
  for (const auto& [name, view] : file.tensors()) {
    if (view.type == TensorType::kF32) tensors[name] = TensorOf<float>(device, view);
    if (view.type == TensorType::kF64) tensors[name] = TensorOf<double>(device, view);
    if (view.type == TensorType::kI32) tensors[name] = TensorOf<int32_t>(device, view);
  }
  return tensors;
}

absl::Status Write(const std::map<std::string, Tensor>& tensors, const char* file) {
  std::vector<std::vector<double>> values;
  std::vector<TensorView> views;
  values.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    values.push_back(tensor.To(DType::kFloat64).ToVector<double>());
    const std::span<const int64_t> dims = tensor.shape().dims();
    views.push_back(TensorView::Of(name, {dims.begin(), dims.end()}, std::span(values.back())));
  }
  return WriteSafetensors(file, std::move(views), {}, [] { return absl::OkStatus(); });
}

absl::Status RunOperation(const std::string& name, std::map<std::string, Tensor> in,
                          const char* file) {
  const auto operation = Operations().find(name);
  if (operation == Operations().end()) return absl::NotFoundError(name);
  std::vector<Variable> inputs;
  std::vector<std::string> names;
  for (const auto& [input, tensor] : in) {
    if (input.size() != 1) continue;
    inputs.push_back(Variable::Leaf(tensor));
    names.push_back(input);
  }
  const Variable y = operation->second(inputs, in["targets"]);
  Backward(y, in["seed"]);
  std::map<std::string, Tensor> out = {{"y", y.value()}};
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].grad().defined()) out[absl::StrCat("d", names[i])] = inputs[i].grad();
  }
  return Write(out, file);
}

absl::Status RunOptimizer(const std::string& kind, const std::map<std::string, Tensor>& in,
                          const char* file) {
  using Kind = OptimizerOptions::Kind;
  const std::map<std::string, OptimizerOptions> options = {
      {"sgd", {.kind = Kind::kSgd, .weight_decay = 0.1}},
      {"momentum", {.kind = Kind::kSgd, .momentum = 0.9, .weight_decay = 0.1}},
      {"nesterov", {.kind = Kind::kSgd, .momentum = 0.9, .nesterov = true, .weight_decay = 0.1}},
      {"adam", {.kind = Kind::kAdam, .weight_decay = 0.1}},
      {"adamw", {.kind = Kind::kAdamW, .weight_decay = 0.1}}};
  const auto found = options.find(kind);
  if (found == options.end()) return absl::NotFoundError(kind);
  const Tensor& start = in.at("w");
  ParameterSet parameters(start.device(), 1, start.dtype());
  Parameter& w = parameters.Add("w", start.shape(), Initializer::Constant(0), true);
  w.value().CopyFrom(start);
  Optimizer optimizer(parameters, found->second);
  std::map<std::string, Tensor> out;
  for (int step = 0; in.contains(absl::StrCat("g", step)); ++step) {
    w.variable().ClearGradient();
    w.variable().GradientOrZeros().CopyFrom(in.at(absl::StrCat("g", step)));
    optimizer.Step(0.01);
    out[absl::StrCat("w", step)] = w.value().Clone();
  }
  return Write(out, file);
}

absl::Status RunGpt(int layers, int heads, const std::map<std::string, Tensor>& in,
                    const char* file) {
  const Tensor& tokens = in.at("tokens");
  const Tensor& table = in.at("tokens.weight");
  ParameterSet parameters(tokens.device(), 1, table.dtype());
  const GptModel model(parameters, {.vocabulary = table.size(0),
                                    .context = tokens.size(1),
                                    .width = table.size(1),
                                    .layers = layers,
                                    .heads = heads});
  for (const auto& parameter : parameters.all()) {
    const auto found = in.find(parameter->name());
    if (found == in.end()) return absl::NotFoundError(parameter->name());
    parameter->value().CopyFrom(found->second);
  }
  Optimizer optimizer(parameters, {.weight_decay = 0.1});
  std::map<std::string, Tensor> out;
  for (int step = 0; step < 10; ++step) {
    parameters.ClearGradients();
    const Variable loss = model.Loss(tokens, in.at("targets"));
    Backward(loss);
    if (step == 0) {
      out["loss"] = loss.value();
      for (const auto& parameter : parameters.all()) {
        out[absl::StrCat("d.", parameter->name())] = parameter->grad().Clone();
      }
    }
    optimizer.Step(0.001, ScaleGradients(parameters, 1, 0.5).scales);
  }
  for (const auto& parameter : parameters.all()) out[parameter->name()] = parameter->value();
  return Write(out, file);
}

absl::Status Run(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (argc != (what == "gpt" ? 6 : 5)) {
    return absl::InvalidArgumentError(
        "nn_peer_driver op NAME|optimizer KIND|gpt LAYERS HEADS IN OUT");
  }
  TY_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(argv[argc - 2]));
  CpuDevice device(2);
  return CatchTensorErrors([&]() -> absl::Status {
    std::map<std::string, Tensor> in = TensorsOf(device, file);
    const char* const out = argv[argc - 1];
    if (what == "op") return RunOperation(argv[2], std::move(in), out);
    if (what == "optimizer") return RunOptimizer(argv[2], in, out);
    return RunGpt(std::atoi(argv[2]), std::atoi(argv[3]), in, out);
  });
}

}  // namespace
}  // namespace trainyard::nn

int main(int argc, char** argv) { return trainyard::RunDriver(trainyard::nn::Run, argc, argv); }
