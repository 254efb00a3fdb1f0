#include "core/trees/ensemble.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace trainyard {
namespace {

// 1 / (1 + exp(-s)) without overflow.
double Logistic(double score) {
  const double e = std::exp(-std::abs(score));
  return score >= 0 ? 1 / (1 + e) : e / (1 + e);
}

void Softmax(std::span<const double> raw, std::span<double> shares) {
  const double greatest = *std::max_element(raw.begin(), raw.end());
  double sum = 0;
  for (size_t k = 0; k < raw.size(); ++k) {
    shares[k] = std::exp(raw[k] - greatest);
    sum += shares[k];
  }
  for (double& share : shares) share /= sum;
}

void Clip(std::span<const double> raw, std::span<double> shares) {
  double sum = 0;
  for (size_t k = 0; k < raw.size(); ++k) {
    shares[k] = std::clamp(raw[k], 0.0, 1.0);
    sum += shares[k];
  }
  for (double& share : shares) {
    share = sum > 0 ? share / sum : 1.0 / static_cast<double>(shares.size());
  }
}

}  // namespace

TreeEnsemble EnsembleOf(Tree tree) {
  TreeEnsemble ensemble;
  ensemble.outputs = tree.outputs;
  ensemble.trees.push_back(std::move(tree));
  return ensemble;
}

void ApplyLink(Link link, int outputs, std::span<const double> raw, std::span<double> predictions) {
  const size_t width = static_cast<size_t>(outputs);
  switch (link) {
    case Link::kIdentity:
      if (raw.data() != predictions.data()) std::copy(raw.begin(), raw.end(), predictions.begin());
      return;
    case Link::kExp:
      std::transform(raw.begin(), raw.end(), predictions.begin(),
                     [](double score) { return std::exp(score); });
      return;
    case Link::kLogistic:
      for (size_t i = 0; i < raw.size(); ++i) {
        predictions[2 * i] = Logistic(-raw[i]);
        predictions[2 * i + 1] = Logistic(raw[i]);
      }
      return;
    case Link::kSoftmax:
      for (size_t i = 0; i < raw.size(); i += width) {
        Softmax(raw.subspan(i, width), predictions.subspan(i, width));
      }
      return;
    case Link::kClip:
      for (size_t i = 0; i < raw.size(); i += width) {
        Clip(raw.subspan(i, width), predictions.subspan(i, width));
      }
      return;
  }
}

}  // namespace trainyard
