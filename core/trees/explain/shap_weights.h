// Weights of interventional SHAP values.
#pragma once

#include <cstddef>
#include <vector>

namespace trainyard {

// (a-1)! c! / (a+c)! for a >= 1, c >= 0 and a + c up to a limit.
class ShapWeights {
 public:
  explicit ShapWeights(size_t most = 0) : stride_(most + 1), weights_(stride_ * stride_) {
    // Beta(a, c + 1): B(a, 1) = 1 / a and B(a, c + 1) = B(a, c) c / (a + c).
    for (size_t a = 1; a < stride_; ++a) {
      double weight = 1 / static_cast<double>(a);
      for (size_t c = 0; a + c < stride_; ++c) {
        if (c > 0) weight *= static_cast<double>(c) / static_cast<double>(a + c);
        weights_[a * stride_ + c] = weight;
      }
    }
  }
  // 0 for a = 0.
  double operator()(size_t a, size_t c) const { return weights_[a * stride_ + c]; }

 private:
  size_t stride_;
  std::vector<double> weights_;
};

}  // namespace trainyard
