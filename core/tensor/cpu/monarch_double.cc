#include "core/tensor/cpu/monarch_double.h"

#include <algorithm>
#include <vector>

#include "core/tensor/cpu/monarch_products.h"

namespace trainyard {
namespace {

double* DataOrNull(const Tensor& tensor) {
  return tensor.defined() ? tensor.data<double>() : nullptr;
}

// Calls visit(index in w1, index in x, index in h) for every product of the first stage of a row.
template <typename Visit>
void ForEachFirstProduct(const MonarchSizes& sizes, Visit visit) {
  for (int64_t k = 0; k < sizes.first_blocks; ++k) {
    for (int64_t a = 0; a < sizes.q; ++a) {
      const int64_t at = k * sizes.q + a;
      for (int64_t i = 0; i < sizes.InputsOf(k); ++i) visit(at * sizes.p + i, k * sizes.p + i, at);
    }
  }
}

// Calls visit(index in w2, index in h, index in y) for every product of the second stage of a row.
template <typename Visit>
void ForEachSecondProduct(const MonarchSizes& sizes, Visit visit) {
  for (int64_t column = 0; column < sizes.out; ++column) {
    const int64_t l = column % sizes.second_blocks;
    const int64_t u = column / sizes.second_blocks;
    for (int64_t t = 0; t < sizes.r; ++t) {
      visit((l * sizes.s + u) * sizes.r + t, t * sizes.second_blocks + l, column);
    }
  }
}

}  // namespace

void MonarchInDouble(const MonarchArguments& arguments) {
  const MonarchSizes sizes(arguments);
  const double* const w1 = arguments.w1.data<double>();
  const double* const w2 = arguments.w2.data<double>();
  const double* const bias = DataOrNull(arguments.bias);
  for (int64_t row = 0; row < sizes.rows; ++row) {
    const double* const x = arguments.x.data<double>() + row * sizes.in;
    double* const h = arguments.h.data<double>() + row * sizes.middle();
    double* const y = arguments.y.data<double>() + row * sizes.out;
    std::fill_n(h, sizes.middle(), 0.0);
    for (int64_t i = 0; i < sizes.out; ++i) y[i] = bias != nullptr ? bias[i] : 0;
    ForEachFirstProduct(sizes,
                        [&](int64_t w, int64_t from, int64_t to) { h[to] += w1[w] * x[from]; });
    ForEachSecondProduct(sizes,
                         [&](int64_t w, int64_t from, int64_t to) { y[to] += w2[w] * h[from]; });
  }
}

void MonarchBackwardInDouble(const MonarchArguments& forward, const MonarchGradients& gradients) {
  const MonarchSizes sizes(forward);
  const double* const w1 = forward.w1.data<double>();
  const double* const w2 = forward.w2.data<double>();
  double* const dw1 = DataOrNull(gradients.dw1);
  double* const dw2 = DataOrNull(gradients.dw2);
  double* const dbias = DataOrNull(gradients.dbias);
  std::vector<double> dh(sizes.middle());
  std::vector<double> dx(sizes.in);
  for (int64_t row = 0; row < sizes.rows; ++row) {
    const double* const x = forward.x.data<double>() + row * sizes.in;
    const double* const h = forward.h.data<double>() + row * sizes.middle();
    const double* const dy = gradients.dy.data<double>() + row * sizes.out;
    std::fill(dh.begin(), dh.end(), 0.0);
    std::fill(dx.begin(), dx.end(), 0.0);
    ForEachSecondProduct(sizes, [&](int64_t w, int64_t from, int64_t to) {
      dh[from] += w2[w] * dy[to];
      if (dw2 != nullptr) dw2[w] += h[from] * dy[to];
    });
    ForEachFirstProduct(sizes, [&](int64_t w, int64_t from, int64_t to) {
      dx[from] += w1[w] * dh[to];
      if (dw1 != nullptr) dw1[w] += x[from] * dh[to];
    });
    for (int64_t i = 0; dbias != nullptr && i < sizes.out; ++i) dbias[i] += dy[i];
    if (!gradients.dx.defined()) continue;
    double* const to = gradients.dx.data<double>() + row * sizes.in;
    for (int64_t i = 0; i < sizes.in; ++i) to[i] = gradients.accumulate_dx ? to[i] + dx[i] : dx[i];
  }
}

}  // namespace trainyard
