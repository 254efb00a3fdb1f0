#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/kernels/attention_kernels.h"
#include "gtest/gtest.h"
#include "tests/core/tensor/attention_reference.h"

namespace trainyard {
namespace {

struct Case {
  int64_t n = 1;
  int64_t m = 1;
  bool causal = false;
  bool segments = false;
  bool mask = false;
  int64_t batches = 2;
  int64_t heads = 2;
  int64_t dh = 8;
  int64_t dv = 8;
  double size_of_inputs = 1;

  std::string Name() const {
    return "n " + std::to_string(n) + " m " + std::to_string(m) + (causal ? " causal" : "") +
           (segments ? " segments" : "") + (mask ? " mask" : "");
  }
};

// Arguments whose heads are views of [batch, n, heads * width].
class Problem {
 public:
  Problem(CpuDevice& device, const Case& c, DType type) : device_(device), type_(type) {
    arguments.q = Heads(c.batches, c.n, c.heads, c.dh, c.size_of_inputs);
    arguments.k = Heads(c.batches, c.m, c.heads, c.dh, c.size_of_inputs);
    arguments.v = Heads(c.batches, c.m, c.heads, c.dv, 1);
    arguments.out = Heads(c.batches, c.n, c.heads, c.dv, 1);
    arguments.logsumexp = Tensor::Full(device, {c.batches, c.heads, c.n}, 7, type);
    arguments.scale = 1 / std::sqrt(static_cast<double>(c.dh));
    arguments.causal = c.causal;
    if (c.segments) {
      arguments.query_segments = Segments(c.batches, c.n);
      arguments.key_segments = Segments(c.batches, c.m);
    }
    if (c.mask) arguments.key_mask = Mask(c.batches, c.m);
    gradients.dout = Heads(c.batches, c.n, c.heads, c.dv, 1);
    gradients.dq = Heads(c.batches, c.n, c.heads, c.dh, 1);
    gradients.dk = Heads(c.batches, c.m, c.heads, c.dh, 1);
    gradients.dv = Heads(c.batches, c.m, c.heads, c.dv, 1);
  }

  void Run() {
    device_.attention().Attend(arguments);
    device_.attention().AttendBackward(arguments, gradients);
  }

  AttentionArguments arguments;
  AttentionGradients gradients;

 private:
  Tensor Heads(int64_t batches, int64_t n, int64_t heads, int64_t width, double size) {
    std::vector<float> values(static_cast<size_t>(batches * n * heads * width));
    std::normal_distribution<float> normal(0, static_cast<float>(size));
    for (float& value : values) value = normal(random_);
    return Tensor::FromValues<float>(device_, {batches, n, heads, width}, values)
        .To(type_)
        .Transposed(1, 2);
  }

  // Runs of random length.
  Tensor Segments(int64_t batches, int64_t n) {
    std::vector<int32_t> values;
    for (int64_t b = 0; b < batches; ++b) {
      int32_t segment = 0;
      for (int64_t i = 0; i < n; ++i) {
        if (random_() % 97 == 0) ++segment;
        values.push_back(segment);
      }
    }
    return Tensor::FromValues<int32_t>(device_, {batches, n}, values);
  }

  // The first sequence has no key at all.
  Tensor Mask(int64_t batches, int64_t m) {
    std::vector<uint8_t> values;
    for (int64_t i = 0; i < batches * m; ++i) {
      values.push_back(i >= m && random_() % 3 != 0 ? 1 : 0);
    }
    return Tensor::FromValues<uint8_t>(device_, {batches, m}, values);
  }

  CpuDevice& device_;
  const DType type_;
  std::mt19937_64 random_{12345};
};

void ExpectReference(const Problem& problem, double tolerance) {
  const AttentionReference reference = ReferenceOf(problem.arguments, problem.gradients.dout);
  EXPECT_LE(RelativeError(problem.arguments.out, reference.out), tolerance);
  EXPECT_LE(RelativeError(problem.arguments.logsumexp, reference.logsumexp), tolerance);
  EXPECT_LE(RelativeError(problem.gradients.dq, reference.dq), tolerance);
  EXPECT_LE(RelativeError(problem.gradients.dk, reference.dk), tolerance);
  EXPECT_LE(RelativeError(problem.gradients.dv, reference.dv), tolerance);
}

void ExpectReference(const Case& c, double float_tolerance = 1e-5) {
  SCOPED_TRACE(c.Name());
  CpuDevice device(2);
  Problem in_double(device, c, DType::kFloat64);
  in_double.Run();
  ExpectReference(in_double, 1e-12);
  Problem in_float(device, c, DType::kFloat32);
  in_float.Run();
  ExpectReference(in_float, float_tolerance);
}

TEST(AttentionTest, MatchesDoubleLoopsAtEveryLength) {
  for (const int64_t n : {1, 5, 63, 64, 65, 255, 256, 257, 1000}) {
    for (const bool causal : {false, true}) {
      ExpectReference({.n = n, .m = n, .causal = causal, .batches = 1});
    }
  }
}

TEST(AttentionTest, QueriesAndKeysMayDifferInNumber) {
  for (const bool causal : {false, true}) {
    ExpectReference({.n = 5, .m = 700, .causal = causal});
    ExpectReference({.n = 300, .m = 5, .causal = causal});
    ExpectReference({.n = 130, .m = 257, .causal = causal});
    ExpectReference({.n = 257, .m = 130, .causal = causal});
    ExpectReference({.n = 1, .m = 600, .causal = causal});
  }
}

TEST(AttentionTest, WidthOfValuesMayDifferFromThatOfKeys) {
  ExpectReference({.n = 65, .m = 65, .causal = true, .dh = 3, .dv = 20});
  ExpectReference({.n = 65, .m = 70, .dh = 33, .dv = 1});
}

TEST(AttentionTest, SegmentsAndMasksHideKeys) {
  for (const bool causal : {false, true}) {
    ExpectReference({.n = 600, .m = 600, .causal = causal, .segments = true});
    ExpectReference({.n = 300, .m = 300, .causal = causal, .mask = true});
    ExpectReference({.n = 400, .m = 650, .causal = causal, .segments = true, .mask = true});
  }
}

TEST(AttentionTest, ManyHeadsTakeOneTaskEach) {
  ExpectReference({.n = 300, .m = 300, .causal = true, .batches = 3, .heads = 5});
}

TEST(AttentionTest, LargeScoresDoNotOverflow) {
  // Scores of some hundreds: rounding them to float alone changes weights by 1e-5.
  ExpectReference({.n = 300, .m = 300, .batches = 1, .size_of_inputs = 8}, 1e-4);
}

TEST(AttentionTest, QueryWithoutKeysGetsZero) {
  CpuDevice device(2);
  Problem problem(device, {.n = 40, .m = 30, .causal = true, .mask = true}, DType::kFloat32);
  problem.Run();
  // Sequence 0 has no keys; the first ten queries of sequence 1 come before the first key.
  for (const Tensor& tensor : {problem.arguments.out, problem.gradients.dq}) {
    for (const double value : ValuesOf(tensor.Select(0, 0))) EXPECT_EQ(value, 0);
    for (const double value : ValuesOf(tensor.Select(0, 1).Slice(1, 0, 10))) EXPECT_EQ(value, 0);
  }
  for (const Tensor& tensor : {problem.gradients.dk, problem.gradients.dv}) {
    for (const double value : ValuesOf(tensor.Select(0, 0))) EXPECT_EQ(value, 0);
  }
  for (const double value : ValuesOf(problem.arguments.logsumexp.Select(0, 0))) {
    EXPECT_EQ(value, -std::numeric_limits<double>::infinity());
  }
}

TEST(AttentionTest, NoKeysAndNoQueries) {
  CpuDevice device(2);
  Problem no_keys(device, {.n = 5, .m = 0}, DType::kFloat32);
  no_keys.gradients.dq.Fill(1);
  no_keys.Run();
  for (const double value : ValuesOf(no_keys.arguments.out)) EXPECT_EQ(value, 0);
  for (const double value : ValuesOf(no_keys.gradients.dq)) EXPECT_EQ(value, 0);
  Problem no_queries(device, {.n = 0, .m = 5}, DType::kFloat32);
  no_queries.gradients.dk.Fill(1);
  no_queries.Run();
  for (const double value : ValuesOf(no_queries.gradients.dk)) EXPECT_EQ(value, 0);
}

TEST(AttentionTest, GradientsMatchCentralDifferences) {
  CpuDevice device(1);
  const Case c{.n = 7, .m = 9, .causal = true, .segments = true, .batches = 1, .dh = 3, .dv = 4};
  Problem problem(device, c, DType::kFloat64);
  problem.Run();
  const std::vector<double> dout = ValuesOf(problem.gradients.dout);
  const auto loss = [&] {
    device.attention().Attend(problem.arguments);
    const std::vector<double> out = ValuesOf(problem.arguments.out);
    double sum = 0;
    for (size_t i = 0; i < out.size(); ++i) sum += out[i] * dout[i];
    return sum;
  };
  const std::vector<std::pair<Tensor, Tensor>> pairs = {
      {problem.arguments.q, problem.gradients.dq},
      {problem.arguments.k, problem.gradients.dk},
      {problem.arguments.v, problem.gradients.dv}};
  for (const auto& [input, gradient] : pairs) {
    std::vector<double> differences;
    for (int64_t h = 0; h < input.size(1); ++h) {
      for (int64_t i = 0; i < input.size(2); ++i) {
        for (int64_t j = 0; j < input.size(3); ++j) {
          double& value = *input.Select(3, j).Select(2, i).Select(1, h).data<double>();
          const double kept = value;
          constexpr double kStep = 1e-5;
          value = kept + kStep;
          const double above = loss();
          value = kept - kStep;
          const double below = loss();
          value = kept;
          differences.push_back((above - below) / (2 * kStep));
        }
      }
    }
    EXPECT_LE(RelativeError(gradient, differences), 1e-8);
  }
}

TEST(AttentionTest, BitsDoNotDependOnThreads) {
  const Case c{.n = 900, .m = 900, .causal = true, .batches = 1};
  CpuDevice one(1);
  Problem alone(one, c, DType::kFloat32);
  alone.Run();
  for (const int threads : {2, 3}) {
    CpuDevice device(threads);
    Problem problem(device, c, DType::kFloat32);
    problem.Run();
    EXPECT_EQ(ValuesOf(problem.arguments.out), ValuesOf(alone.arguments.out));
    EXPECT_EQ(ValuesOf(problem.gradients.dq), ValuesOf(alone.gradients.dq));
    EXPECT_EQ(ValuesOf(problem.gradients.dk), ValuesOf(alone.gradients.dk));
    EXPECT_EQ(ValuesOf(problem.gradients.dv), ValuesOf(alone.gradients.dv));
  }
}

TEST(AttentionTest, MemoryGrowsWithTheLengthAndNotWithItsSquare) {
  CpuDevice device(2);
  const auto peak = [&](int64_t n) {
    Problem problem(device, {.n = n, .m = n, .causal = true, .batches = 1}, DType::kFloat32);
    device.memory().ResetPeak();
    const size_t before = device.memory().statistics().live_bytes;
    problem.Run();
    return device.memory().statistics().peak_live_bytes - before;
  };
  const size_t at_1024 = peak(1024);
  const size_t at_4096 = peak(4096);
  EXPECT_LT(at_4096, 4 * at_1024);
  EXPECT_LT(at_4096, size_t{4} << 20);  // a head's scores are 64 MiB
}

}  // namespace
}  // namespace trainyard
