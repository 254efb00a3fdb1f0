// Against rotations and sums written out.
#include <complex>

#include "core/tensor/kernels/position_kernels.h"
#include "tests/core/tensor/kernel_test.h"

namespace trainyard {
namespace {

class PositionKernelTest : public KernelTest {
 protected:
  // Coordinates as complex numbers, times e^(i position frequency).
  std::vector<double> Rotated(const RotaryArguments& arguments) {
    const Tensor& x = arguments.x;
    const int64_t n = x.size(1);
    const int64_t s = x.size(-1);
    const int64_t vectors = x.elements() / s / x.size(0) / n;
    std::vector<double> values = Doubles(x);
    for (int64_t i = 0; i < x.size(0) * n * vectors; ++i) {
      const int64_t batch = i / vectors / n;
      const int64_t at = i / vectors % n;
      const double position =
          arguments.positions.defined()
              ? static_cast<double>(arguments.positions.data<int32_t>()[batch * n + at])
              : static_cast<double>(arguments.first + at);
      for (int64_t j = 0; j < s / 2; ++j) {
        const bool halves = arguments.pairing == RotaryPairing::kHalves;
        double& real = values[i * s + (halves ? j : 2 * j)];
        double& imaginary = values[i * s + (halves ? j + s / 2 : 2 * j + 1)];
        const double angle = position * std::pow(arguments.base, -2.0 * j / s);
        const auto turned = std::complex<double>(real, imaginary) *
                            std::polar(1.0, arguments.inverse ? -angle : angle);
        real = turned.real();
        imaginary = turned.imag();
      }
    }
    return values;
  }
};
TRAINYARD_INSTANTIATE_KERNEL_TEST(PositionKernelTest);

TEST_P(PositionKernelTest, RotaryOfAllKinds) {
  for (const RotaryPairing pairing : {RotaryPairing::kHalves, RotaryPairing::kNeighbors}) {
    for (const bool inverse : {false, true}) {
      for (const bool with_positions : {false, true}) {
        for (const Shape& shape : {Shape{1, 1, 2}, Shape{2, 7, 6}, Shape{3, 50, 4, 32}}) {
          RotaryArguments arguments;
          arguments.x = Random(shape, 1);
          arguments.out = Random(shape, 2);
          arguments.pairing = pairing;
          arguments.inverse = inverse;
          arguments.first = 11;
          if (with_positions) {
            std::vector<int32_t> positions;
            for (int64_t i = 0; i < shape[0] * shape[1]; ++i) {
              positions.push_back(static_cast<int32_t>(i * 37 % 200));
            }
            arguments.positions = Integers({shape[0], shape[1]}, positions);
          }
          const std::vector<double> expected = Rotated(arguments);
          device_.position().Rotary(arguments);
          ExpectNear(arguments.out, expected, tolerance());
          std::vector<double> twice = expected;
          for (double& value : twice) value *= 2;
          arguments.accumulate = true;
          device_.position().Rotary(arguments);
          ExpectNear(arguments.out, twice, 2 * tolerance());
          arguments.accumulate = false;
          arguments.out = arguments.x;
          device_.position().Rotary(arguments);
          ExpectNear(arguments.x, expected, tolerance());
        }
      }
    }
  }
}

TEST_P(PositionKernelTest, RotaryOfViews) {
  // Heads as attention sees them, inside a wider tensor; two bases after each other.
  const Tensor whole = Random({2, 9, 3 * 16}, 1);
  for (const double base : {10'000.0, 100.0}) {
    RotaryArguments arguments;
    arguments.x = whole.Slice(2, 8, 32).View({2, 9, 2, 16});
    arguments.out = Random({2, 9, 2, 16}, 2);
    arguments.base = base;
    arguments.first = 100'000;
    const std::vector<double> expected = Rotated(arguments);
    device_.position().Rotary(arguments);
    ExpectNear(arguments.out, expected, tolerance());
  }
}

TEST_P(PositionKernelTest, Sinusoids) {
  const Tensor out = Random({40, 20}, 1);
  device_.position().Sinusoid(3, 1000, out);
  for (int64_t i = 0; i < 40; ++i) {
    for (int64_t j = 0; j < 10; ++j) {
      const double angle = static_cast<double>(3 + i) * std::pow(1000.0, -j / 10.0);
      ASSERT_NEAR(At(out, {i, j}), std::sin(angle), tolerance());
      ASSERT_NEAR(At(out, {i, 10 + j}), std::cos(angle), tolerance());
    }
  }
}

TEST_P(PositionKernelTest, ToeplitzAndItsGradient) {
  for (const auto& [n, m] : {std::pair<int64_t, int64_t>{1, 1}, {5, 3}, {3, 5}, {130, 150}}) {
    const Tensor w = Random({n + m - 1}, 1);
    const Tensor out = Random({n, m}, 2);
    device_.position().Toeplitz(w, out);
    const Tensor d = Random({3, n, m}, 3);
    const Tensor dw = Random({n + m - 1}, 4);
    std::vector<double> sums = Doubles(dw);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < m; ++j) {
        ASSERT_EQ(At(out, {i, j}), At(w, {i - j + m - 1}));
        for (int64_t b = 0; b < 3; ++b) sums[i - j + m - 1] += At(d, {b, i, j});
      }
    }
    device_.position().ToeplitzBackward(d, dw);
    ExpectNear(dw, sums, tolerance(), 30);
  }
}

}  // namespace
}  // namespace trainyard
