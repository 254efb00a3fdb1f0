// The loss of a gated layer as a function of its weights.
#pragma once

#include <cstdint>
#include <vector>

#include "core/algorithms/convex_relu/pattern_operator.h"
#include "core/algorithms/convex_relu/regularizer.h"
#include "core/algorithms/convex_relu/row_loss.h"
#include "core/algorithms/convex_relu/smooth_function.h"

namespace trainyard::convex_relu {

// f(u) = phi(sum_i D_i X u_i); the image is the predictions. Keeps both arguments, which must
// outlive it.
template <typename Real>
class GatedFunction final : public SmoothFunction<Real> {
 public:
  GatedFunction(PatternOperator<Real>& products, const RowLoss& loss)
      : products_(products), loss_(loss), residual_(static_cast<size_t>(loss.size())) {}

  WeightShape shape() const {
    return {loss_.outputs(), products_.patterns(), products_.features(), products_.stride()};
  }
  int64_t size() const override { return shape().size(); }
  int64_t image_size() const override { return loss_.size(); }
  void Image(const Real* x, Real* image) override { products_.Forward(loss_.outputs(), x, image); }
  double Value(const Real* image) const override { return loss_.Value(image); }
  double Divergence(const Real* next, const Real* at) const override {
    return loss_.Divergence(next, at);
  }
  void Gradient(const Real* image, Real* gradient) override {
    loss_.Gradient(image, residual_.data());
    products_.Adjoint(loss_.outputs(), residual_.data(), gradient);
  }
  bool quadratic() const override { return loss_.quadratic(); }

 private:
  PatternOperator<Real>& products_;
  const RowLoss& loss_;
  std::vector<Real> residual_;
};

}  // namespace trainyard::convex_relu
