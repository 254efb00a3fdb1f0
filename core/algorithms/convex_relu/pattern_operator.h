// The products of a gated layer, z = sum_i D_i X u_i and its adjoint, without the n x dP matrix.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

namespace trainyard::convex_relu {

// What products have taken, over an operator and its selections.
struct ProductWork {
  double operations = 0;  // floating-point operations of dense products: 2 n P d for each output
  double seconds = 0;
};

// The linear map of n x d data X under P activation patterns D_i = diag(1[X g_i > 0]), for one or
// several outputs side by side. Layouts, each row padded with zeros to `stride()`:
//   weights, gradients  [output][pattern][stride]
//   predictions, residuals  [output][row]
// Results do not depend on the number of threads. One call at a time: calls share scratch memory
// and the thread pool. Implementations: the CPU's (cpu_pattern_operator.h).
template <typename Real>
class PatternOperator {
 public:
  virtual ~PatternOperator() = default;

  virtual int64_t rows() const = 0;      // n
  virtual int features() const = 0;      // d
  virtual int stride() const = 0;        // PaddedColumns(d)
  virtual int64_t patterns() const = 0;  // P

  // predictions^o = sum_i D_i X weights^o_i. Blocks of zeros cost (next to) nothing.
  virtual void Forward(int outputs, const Real* weights, Real* predictions) = 0;

  // gradient^o_i = X^T D_i residuals^o. The padding becomes zero.
  virtual void Adjoint(int outputs, const Real* residuals, Real* gradient) = 0;

  // norms[output][pattern] = ||X^T D_i residuals^o||_2, summed in double, without keeping the
  // vectors: scratch memory is independent of P * d.
  virtual void AdjointNorms(int outputs, const Real* residuals, double* norms) = 0;

  // From now on products end early, with results that mean nothing, when `stopped` is true, which
  // any thread may ask; a caller that lets products be stopped asks, too, before it uses results.
  // Selections made afterwards or before are stopped alike.
  // An operator may do without.
  virtual void StopWhen(std::function<bool()> /*stopped*/) {}
  virtual ProductWork work() const { return {}; }

  // The same map for some of the patterns, in the order given. It shares the data, which must
  // outlive it, and the thread pool.
  virtual std::unique_ptr<PatternOperator> Select(std::span<const int64_t> patterns) const = 0;
};

}  // namespace trainyard::convex_relu
