#include "core/algorithms/convex_relu/nonconvex_optimizer.h"

#include <algorithm>
#include <cmath>

#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

constexpr int64_t kPiece = int64_t{1} << 18;

void SetZero(PaddedMatrix<float>& matrix) {
  std::fill_n(matrix.data(), matrix.rows() * matrix.stride(), 0.0F);
}

// The arrays of one layer, padding included: there weights, gradients and moments stay zero.
struct Layer {
  int64_t size;
  float* weights;
  const float* gradient;
  float* first_moment;
  float* second_moment;
};

Layer LayerOf(PaddedMatrix<float>& weights, const PaddedMatrix<float>& gradient,
              PaddedMatrix<float>& first_moment, PaddedMatrix<float>& second_moment) {
  return {weights.rows() * weights.stride(), weights.data(), gradient.data(), first_moment.data(),
          second_moment.data()};
}

void StepSgd(const Layer& layer, int64_t begin, int64_t end, float step, float penalty,
             float momentum) {
  for (int64_t i = begin; i < end; ++i) {
    const float gradient = layer.gradient[i] + penalty * layer.weights[i];
    layer.first_moment[i] = momentum * layer.first_moment[i] + gradient;
    layer.weights[i] -= step * layer.first_moment[i];
  }
}

struct AdamFactors {
  float step;  // divided by the first moment's bias correction
  float penalty;
  float first_decay;
  float second_decay;
  float root_correction;  // 1 / sqrt of the second moment's
  float denominator_term;
};

void StepAdam(const Layer& layer, int64_t begin, int64_t end, const AdamFactors& f) {
  for (int64_t i = begin; i < end; ++i) {
    const float gradient = layer.gradient[i] + f.penalty * layer.weights[i];
    float& first = layer.first_moment[i];
    float& second = layer.second_moment[i];
    first = f.first_decay * first + (1 - f.first_decay) * gradient;
    second = f.second_decay * second + (1 - f.second_decay) * gradient * gradient;
    layer.weights[i] -=
        f.step * first / (std::sqrt(second) * f.root_correction + f.denominator_term);
  }
}

}  // namespace

absl::Status NetworkOptimizer::Allocate(int64_t neurons, int features, int outputs, bool adam,
                                        const WorkCheck& check) {
  first_moment_ = NetworkWeights<float>(neurons, features, outputs);
  TY_RETURN_IF_ERROR(check());
  if (adam) second_moment_ = NetworkWeights<float>(neurons, features, outputs);
  return check();
}

absl::Status NetworkOptimizer::Reset(const OptimizerSettings& settings, const WorkCheck& check) {
  settings_ = settings;
  steps_ = 0;
  for (PaddedMatrix<float>* moment : {&first_moment_.first, &first_moment_.second,
                                      &second_moment_.first, &second_moment_.second}) {
    SetZero(*moment);
    TY_RETURN_IF_ERROR(check());
  }
  return absl::OkStatus();
}

absl::Status NetworkOptimizer::Step(double step, double penalty,
                                    const NetworkWeights<float>& gradient,
                                    NetworkWeights<float>& weights, const WorkCheck& check) {
  ++steps_;
  const double count = static_cast<double>(steps_);
  const AdamFactors factors = {
      .step = static_cast<float>(step / (1 - std::pow(settings_.first_decay, count))),
      .penalty = static_cast<float>(penalty),
      .first_decay = static_cast<float>(settings_.first_decay),
      .second_decay = static_cast<float>(settings_.second_decay),
      .root_correction =
          static_cast<float>(1 / std::sqrt(1 - std::pow(settings_.second_decay, count))),
      .denominator_term = static_cast<float>(settings_.denominator_term)};
  for (const Layer& layer :
       {LayerOf(weights.first, gradient.first, first_moment_.first, second_moment_.first),
        LayerOf(weights.second, gradient.second, first_moment_.second, second_moment_.second)}) {
    for (int64_t begin = 0; begin < layer.size; begin += kPiece) {
      TY_RETURN_IF_ERROR(check());
      const int64_t end = std::min(begin + kPiece, layer.size);
      if (settings_.kind == OptimizerKind::kAdam) {
        StepAdam(layer, begin, end, factors);
      } else {
        StepSgd(layer, begin, end, static_cast<float>(step), static_cast<float>(penalty),
                static_cast<float>(settings_.momentum));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace trainyard::convex_relu
