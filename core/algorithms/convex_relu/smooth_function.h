// Smooth convex functions of a linear image, f(x) = phi(A x).
#pragma once

#include <cstdint>

namespace trainyard::convex_relu {

// Solvers keep the image A x of every point they know: a combination of points has the same
// combination of images, so the only products are one image per new point and one adjoint per
// gradient. Calls may use scratch memory: one at a time.
template <typename Real>
class SmoothFunction {
 public:
  virtual ~SmoothFunction() = default;

  // Numbers in x, padding included; the padding of every point is zero.
  virtual int64_t size() const = 0;
  virtual int64_t image_size() const = 0;

  // image = A x.
  virtual void Image(const Real* x, Real* image) = 0;
  // f at the point of that image.
  virtual double Value(const Real* image) const = 0;
  // f(next) - f(at) - <f'(at), next - at> from the images, without cancellation.
  virtual double Divergence(const Real* next, const Real* at) const = 0;
  // f' = A^T phi'(image).
  virtual void Gradient(const Real* image, Real* gradient) = 0;
  // Whether f is quadratic: f' of a combination of points (of weights that sum to 1) is that
  // combination of their f'.
  virtual bool quadratic() const = 0;
};

}  // namespace trainyard::convex_relu
