// Sums, products and the like of two tensors, by NumPy's rule of broadcasting.
#pragma once

#include "core/nn/variable.h"

namespace trainyard::nn {

// All throw TensorError INVALID_ARGUMENT for types or shapes that do not fit.
Variable Add(const Variable& a, const Variable& b);
Variable Subtract(const Variable& a, const Variable& b);
Variable Multiply(const Variable& a, const Variable& b);
Variable Divide(const Variable& a, const Variable& b);
// At ties the first input has the gradient.
Variable Maximum(const Variable& a, const Variable& b);
Variable Minimum(const Variable& a, const Variable& b);
// scale * x + shift.
Variable Affine(const Variable& x, double scale, double shift = 0);

inline Variable operator+(const Variable& a, const Variable& b) { return Add(a, b); }
inline Variable operator-(const Variable& a, const Variable& b) { return Subtract(a, b); }
inline Variable operator*(const Variable& a, const Variable& b) { return Multiply(a, b); }
inline Variable operator/(const Variable& a, const Variable& b) { return Divide(a, b); }
inline Variable operator-(const Variable& x) { return Affine(x, -1); }
inline Variable operator+(const Variable& x, double y) { return Affine(x, 1, y); }
inline Variable operator+(double y, const Variable& x) { return Affine(x, 1, y); }
inline Variable operator-(const Variable& x, double y) { return Affine(x, 1, -y); }
inline Variable operator-(double y, const Variable& x) { return Affine(x, -1, y); }
inline Variable operator*(const Variable& x, double y) { return Affine(x, y); }
inline Variable operator*(double y, const Variable& x) { return Affine(x, y); }
inline Variable operator/(const Variable& x, double y) { return Affine(x, 1 / y); }

}  // namespace trainyard::nn
