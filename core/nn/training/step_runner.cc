#include "core/nn/training/step_runner.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace trainyard::nn {
namespace {

void AddParts(const std::vector<std::pair<std::string, double>>& from,
              std::vector<std::pair<std::string, double>>& to) {
  if (to.empty()) {
    to = from;
    return;
  }
  for (size_t i = 0; i < std::min(from.size(), to.size()); ++i) to[i].second += from[i].second;
}

}  // namespace

StepRunner::StepRunner(Trainable& model, const TrainingOptions& options,
                       std::function<absl::Status()> check)
    : model_(model), options_(options), check_(std::move(check)), random_(options.seed) {}

absl::Status StepRunner::RunMicroBatches(int64_t step, std::span<const int64_t> batch,
                                         StepOutcome& outcome) {
  const int64_t size = static_cast<int64_t>(batch.size());
  const int64_t rank = options_.all_reduce == nullptr ? 0 : options_.all_reduce->rank();
  const int64_t workers = options_.all_reduce == nullptr ? 1 : options_.all_reduce->workers();
  const int64_t begin = size * rank / workers;
  const int64_t end = size * (rank + 1) / workers;
  const int64_t micro = options_.micro_batch > 0 ? options_.micro_batch : end - begin;
  std::vector<Tensor> losses;
  for (int64_t start = begin; start < end; start += micro) {
    TY_RETURN_IF_ERROR(check_());
    // A million streams for each sample of each step.
    random_.set_next_stream(static_cast<uint64_t>(step * size + start) << 20);
    const int64_t count = std::min(micro, end - start);
    const SummedLoss sum = model_.Loss(
        {step, batch.subspan(static_cast<size_t>(start), static_cast<size_t>(count)), &random_});
    Backward(sum.loss);
    losses.push_back(sum.loss.value());
    outcome.weight += sum.weight;
    AddParts(sum.parts, outcome.parts);
  }
  for (const Tensor& loss : losses) outcome.loss += loss.Item();
  return absl::OkStatus();
}

absl::Status StepRunner::SumGradients() {
  AllReduce& all_reduce = *options_.all_reduce;
  const auto& parameters = model_.parameters().all();
  // What no worker has a gradient of stays without one.
  std::vector<double> have(parameters.size());
  for (size_t i = 0; i < have.size(); ++i) have[i] = parameters[i]->grad().defined() ? 1 : 0;
  TY_RETURN_IF_ERROR(all_reduce.Sum(have));
  std::vector<Tensor> gradients;
  for (size_t i = 0; i < have.size(); ++i) {
    if (have[i] > 0) gradients.push_back(parameters[i]->variable().GradientOrZeros());
  }
  return all_reduce.Sum(gradients);
}

absl::Status StepRunner::SumOverWorkers(const std::function<double()>& seconds,
                                        StepOutcome& outcome) {
  if (options_.all_reduce == nullptr) {
    outcome.seconds = seconds();
    return absl::OkStatus();
  }
  TY_RETURN_IF_ERROR(SumGradients());
  std::vector<double> values = {outcome.loss, outcome.weight,
                                options_.all_reduce->rank() == 0 ? seconds() : 0};
  for (const auto& [name, value] : outcome.parts) values.push_back(value);
  TY_RETURN_IF_ERROR(options_.all_reduce->Sum(values));
  outcome.loss = values[0];
  outcome.weight = values[1];
  outcome.seconds = values[2];
  for (size_t i = 0; i < outcome.parts.size(); ++i) outcome.parts[i].second = values[3 + i];
  return absl::OkStatus();
}

absl::StatusOr<StepOutcome> StepRunner::Run(int64_t step, std::span<const int64_t> batch,
                                            const std::function<double()>& seconds) {
  StepOutcome outcome;
  model_.parameters().ClearGradients();
  TY_RETURN_IF_ERROR(RunMicroBatches(step, batch, outcome));
  TY_RETURN_IF_ERROR(SumOverWorkers(seconds, outcome));
  if (!(outcome.weight > 0)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the losses of step ", step, " have a weight of ", outcome.weight, "; it must be above 0"));
  }
  outcome.gradient = ScaleGradients(model_.parameters(), outcome.weight, options_.clip_norm);
  outcome.finite = std::isfinite(outcome.loss) && outcome.gradient.finite();
  return outcome;
}

}  // namespace trainyard::nn
