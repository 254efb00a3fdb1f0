#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/kernels/attention_kernels.h"
#include "gtest/gtest.h"
#include "tests/core/tensor/attention_reference.h"

namespace trainyard {
namespace {

enum class Documents : uint8_t { kNone, kPacked, kShuffled, kPadded };

struct Case {
  int64_t n = 1;
  int64_t chunk = 256;
  bool causal = true;
  Documents documents = Documents::kNone;
  bool mean = true;
  bool global = true;
  bool gate = true;
  bool bias = true;
  bool keeps_ungated = true;
  int64_t batches = 2;
  int64_t s = 8;
  int64_t e = 12;

  std::string Name() const {
    return "n " + std::to_string(n) + " chunk " + std::to_string(chunk) +
           (causal ? " causal" : "") + " documents " + std::to_string(static_cast<int>(documents)) +
           (mean ? "" : " by chunk") + (global ? "" : " local") + (gate ? "" : " without gate") +
           (keeps_ungated ? "" : " without ungated");
  }
};

// Arguments with heads that are views of one tensor [batch, n, 4, s].
class Problem {
 public:
  Problem(CpuDevice& device, const Case& c, DType type) : device_(device), type_(type) {
    const Shape values = {c.batches, c.n, c.e};
    const Tensor heads = Random({c.batches, c.n, 4, c.s});
    const Tensor dheads = Random({c.batches, c.n, 4, c.s});
    arguments.quad_q = heads.Select(2, 0);
    arguments.quad_k = heads.Select(2, 1);
    arguments.lin_q = heads.Select(2, 2);
    arguments.lin_k = heads.Select(2, 3);
    arguments.v = Random(values);
    arguments.out = Random(values);
    if (c.gate) arguments.gate = Random(values);
    if (c.bias) arguments.bias = Random({c.chunk, c.chunk});
    if (c.keeps_ungated) arguments.ungated = Random(values);
    arguments.chunk = c.chunk;
    arguments.causal = c.causal;
    arguments.global = c.global;
    arguments.mean_over_chunks = c.mean;
    arguments.scale_qk = 0.7 / std::sqrt(static_cast<double>(c.s));
    arguments.scale_a = 0.3;
    if (c.documents != Documents::kNone) arguments.segments = Segments(c);
    gradients.dout = Random(values);
    gradients.dquad_q = dheads.Select(2, 0);
    gradients.dquad_k = dheads.Select(2, 1);
    gradients.dlin_q = dheads.Select(2, 2);
    gradients.dlin_k = dheads.Select(2, 3);
    gradients.dv = Random(values);
    if (c.gate) gradients.dgate = Random(values);
    if (c.bias) gradients.dbias = Tensor::Zeros(device, {c.chunk, c.chunk}, type);
  }

  void Run() {
    device_.attention().MixedChunk(arguments);
    device_.attention().MixedChunkBackward(arguments, gradients);
  }

  std::vector<std::pair<const char*, Tensor>> Results() const {
    std::vector<std::pair<const char*, Tensor>> results = {
        {"out", arguments.out},         {"ungated", arguments.ungated},
        {"dquad_q", gradients.dquad_q}, {"dquad_k", gradients.dquad_k},
        {"dlin_q", gradients.dlin_q},   {"dlin_k", gradients.dlin_k},
        {"dv", gradients.dv},           {"dgate", gradients.dgate},
        {"dbias", gradients.dbias}};
    std::erase_if(results, [](const auto& result) { return !result.second.defined(); });
    return results;
  }

  MixedChunkArguments arguments;
  MixedChunkGradients gradients;

 private:
  Tensor Random(const Shape& shape) {
    std::vector<float> values(static_cast<size_t>(shape.elements()));
    std::normal_distribution<float> normal;
    for (float& value : values) value = normal(random_);
    return Tensor::FromValues<float>(device_, shape, values).To(type_);
  }

  Tensor Segments(const Case& c) {
    std::vector<int32_t> values;
    for (int64_t b = 0; b < c.batches; ++b) {
      int32_t segment = 3;
      for (int64_t i = 0; i < c.n; ++i) {
        const auto change = random_() % static_cast<uint64_t>(c.chunk + 1);
        if (change == 0) ++segment;
        if (change == 1 && c.documents == Documents::kShuffled) segment = random_() % 9;
        const bool tail = b == 0 && i >= c.n - c.n / 3;
        const bool hole = c.documents == Documents::kShuffled && random_() % 50 == 0;
        values.push_back((c.documents == Documents::kPadded && tail) || hole ? -1 : segment);
      }
    }
    return Tensor::FromValues<int32_t>(device_, {c.batches, c.n}, values);
  }

  CpuDevice& device_;
  const DType type_;
  std::mt19937_64 random_{4242};
};

void ExpectReference(const Problem& problem, double tolerance) {
  const MixedChunkReference reference = ReferenceOf(problem.arguments, problem.gradients.dout);
  const std::vector<std::pair<std::string, const std::vector<double>*>> expected = {
      {"out", &reference.out},         {"ungated", &reference.ungated},
      {"dquad_q", &reference.dquad_q}, {"dquad_k", &reference.dquad_k},
      {"dlin_q", &reference.dlin_q},   {"dlin_k", &reference.dlin_k},
      {"dv", &reference.dv},           {"dgate", &reference.dgate},
      {"dbias", &reference.dbias}};
  for (const auto& [name, tensor] : problem.Results()) {
    for (const auto& [expected_name, values] : expected) {
      if (expected_name != name) continue;
      EXPECT_LE(RelativeError(tensor, *values), tolerance) << name;
    }
  }
}

void ExpectReference(const Case& c) {
  SCOPED_TRACE(c.Name());
  CpuDevice device(2);
  Problem in_double(device, c, DType::kFloat64);
  in_double.Run();
  ExpectReference(in_double, 1e-12);
  Problem in_float(device, c, DType::kFloat32);
  in_float.Run();
  ExpectReference(in_float, 1e-5);
}

TEST(MixedChunkTest, MatchesDoubleLoopsAtEveryLength) {
  for (const int64_t n : {1, 255, 256, 257, 1000}) {
    for (const bool causal : {true, false}) {
      ExpectReference({.n = n, .causal = causal});
    }
  }
}

TEST(MixedChunkTest, MatchesDoubleLoopsForDocuments) {
  for (const Documents documents : {Documents::kPacked, Documents::kShuffled, Documents::kPadded}) {
    for (const bool causal : {true, false}) {
      ExpectReference({.n = 1000, .causal = causal, .documents = documents});
      ExpectReference({.n = 300, .chunk = 16, .causal = causal, .documents = documents});
    }
  }
}

TEST(MixedChunkTest, MatchesDoubleLoopsWithoutItsOptions) {
  for (const bool causal : {true, false}) {
    ExpectReference({.n = 70, .chunk = 16, .causal = causal, .mean = false});
    ExpectReference({.n = 70, .chunk = 16, .causal = causal, .global = false});
    ExpectReference({.n = 70, .chunk = 16, .causal = causal, .keeps_ungated = false});
    ExpectReference({.n = 70, .chunk = 16, .causal = causal, .bias = false});
    ExpectReference(
        {.n = 70, .chunk = 16, .causal = causal, .gate = false, .keeps_ungated = false});
    ExpectReference({.n = 70,
                     .chunk = 16,
                     .causal = causal,
                     .documents = Documents::kShuffled,
                     .global = false,
                     .keeps_ungated = false});
  }
}

TEST(MixedChunkTest, MatchesDoubleLoopsForWideValues) {
  ExpectReference({.n = 200, .chunk = 64, .batches = 1, .s = 20, .e = 300});
  ExpectReference({.n = 200, .chunk = 64, .causal = false, .batches = 3, .s = 7, .e = 257});
}

TEST(MixedChunkTest, MatchesDoubleLoopsForLargeChunks) {
  for (const bool causal : {true, false}) {
    ExpectReference({.n = 500, .chunk = 400, .causal = causal});
    ExpectReference({.n = 900, .chunk = 900, .causal = causal, .documents = Documents::kPacked});
    ExpectReference({.n = 1100, .chunk = 800, .causal = causal, .keeps_ungated = false});
  }
}

// FLASH-Quad: relu(q k' / n + b)^2 over the whole sequence, without chunks.
TEST(MixedChunkTest, OneChunkIsQuadraticAttention) {
  CpuDevice device(2);
  const int64_t n = 300;
  Problem problem(device, {.n = n, .chunk = n, .gate = false, .batches = 1}, DType::kFloat64);
  problem.arguments.scale_qk = 1.0 / static_cast<double>(n);
  problem.arguments.scale_a = 1;
  problem.Run();
  const std::vector<double> q = ValuesOf(problem.arguments.quad_q);
  const std::vector<double> k = ValuesOf(problem.arguments.quad_k);
  const std::vector<double> v = ValuesOf(problem.arguments.v);
  const std::vector<double> b = ValuesOf(problem.arguments.bias);
  const size_t s = 8;
  const size_t e = 12;
  std::vector<double> expected(v.size(), 0.0);
  for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
    for (size_t j = 0; j <= i; ++j) {
      double score = 0;
      for (size_t c = 0; c < s; ++c) score += q[i * s + c] * k[j * s + c];
      const double positive = std::max(0.0, score / static_cast<double>(n) + b[i * n + j]);
      for (size_t c = 0; c < e; ++c) expected[i * e + c] += positive * positive * v[j * e + c];
    }
  }
  EXPECT_LE(RelativeError(problem.arguments.out, expected), 1e-12);
}

TEST(MixedChunkTest, LaterTokensDoNotChangeABitOfEarlierOnes) {
  CpuDevice device(2);
  const int64_t chunk = 64;
  const int64_t n = 300;
  Problem problem(device, {.n = n, .chunk = chunk, .batches = 1, .s = 32, .e = 64},
                  DType::kFloat32);
  device.attention().MixedChunk(problem.arguments);
  const std::vector<float> before = problem.arguments.out.ToVector<float>();
  for (const int64_t position : {int64_t{0}, chunk - 1, chunk, chunk + 1, 3 * chunk, n - 1}) {
    SCOPED_TRACE(position);
    const std::vector<Tensor> inputs = {problem.arguments.quad_q, problem.arguments.quad_k,
                                        problem.arguments.lin_q, problem.arguments.lin_k,
                                        problem.arguments.v};
    std::vector<Tensor> kept;
    for (const Tensor& input : inputs) {
      const Tensor row = input.Slice(1, position, 1);
      kept.push_back(row.Clone());
      row.Fill(3.5);
    }
    device.attention().MixedChunk(problem.arguments);
    const std::vector<float> after = problem.arguments.out.ToVector<float>();
    const auto edge = before.begin() + position * 64;
    EXPECT_TRUE(std::equal(before.begin(), edge, after.begin()));
    EXPECT_FALSE(std::equal(edge, edge + 64, after.begin() + position * 64));
    for (size_t i = 0; i < inputs.size(); ++i) inputs[i].Slice(1, position, 1).CopyFrom(kept[i]);
  }
}

TEST(MixedChunkTest, GradientsMatchCentralDifferences) {
  CpuDevice device(1);
  for (const bool causal : {true, false}) {
    const Case c{.n = 11, .chunk = 4, .causal = causal, .batches = 2, .s = 3, .e = 5};
    Problem problem(device, c, DType::kFloat64);
    problem.Run();
    const std::vector<double> dout = ValuesOf(problem.gradients.dout);
    const auto loss = [&] {
      device.attention().MixedChunk(problem.arguments);
      const std::vector<double> out = ValuesOf(problem.arguments.out);
      double sum = 0;
      for (size_t i = 0; i < out.size(); ++i) sum += out[i] * dout[i];
      return sum;
    };
    const MixedChunkArguments& a = problem.arguments;
    const MixedChunkGradients& g = problem.gradients;
    const std::vector<std::pair<Tensor, Tensor>> pairs = {
        {a.quad_q, g.dquad_q},
        {a.quad_k, g.dquad_k},
        {a.lin_q, g.dlin_q},
        {a.lin_k, g.dlin_k},
        {a.v, g.dv},
        {a.gate, g.dgate},
        {a.bias.Unsqueezed(0), g.dbias.Unsqueezed(0)}};
    for (const auto& [input, gradient] : pairs) {
      std::vector<double> differences;
      for (int64_t b = 0; b < input.size(0); ++b) {
        for (int64_t i = 0; i < input.size(1); ++i) {
          for (int64_t j = 0; j < input.size(2); ++j) {
            double& value = *input.Select(2, j).Select(1, i).Select(0, b).data<double>();
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
      EXPECT_LE(RelativeError(gradient, differences), 1e-6);
    }
  }
}

TEST(MixedChunkTest, GradientOfTheBiasIsAddedTo) {
  CpuDevice device(2);
  Problem problem(device, {.n = 100, .chunk = 16}, DType::kFloat64);
  problem.gradients.dbias.Fill(2);
  problem.Run();
  std::vector<double> expected = ReferenceOf(problem.arguments, problem.gradients.dout).dbias;
  for (double& value : expected) value += 2;
  EXPECT_LE(RelativeError(problem.gradients.dbias, expected), 1e-12);
}

TEST(MixedChunkTest, BitsDoNotDependOnThreads) {
  for (const int64_t chunk : {64, 700}) {
    const Case c{.n = 900, .chunk = chunk, .batches = 1, .s = 32, .e = 256};
    CpuDevice one(1);
    Problem alone(one, c, DType::kFloat32);
    alone.Run();
    for (const int threads : {2, 3}) {
      CpuDevice device(threads);
      Problem problem(device, c, DType::kFloat32);
      problem.Run();
      const auto expected = alone.Results();
      const auto actual = problem.Results();
      for (size_t i = 0; i < actual.size(); ++i) {
        EXPECT_EQ(ValuesOf(actual[i].second), ValuesOf(expected[i].second)) << actual[i].first;
      }
    }
  }
}

TEST(MixedChunkTest, MemoryGrowsWithTheLengthAndNotWithItsSquare) {
  CpuDevice device(2);
  const auto peak = [&](int64_t n, int64_t chunk, bool bias) {
    Problem problem(device, {.n = n, .chunk = chunk, .bias = bias, .batches = 1}, DType::kFloat32);
    device.memory().ResetPeak();
    const size_t before = device.memory().statistics().live_bytes;
    problem.Run();
    return device.memory().statistics().peak_live_bytes - before;
  };
  // Beyond what does not grow: dO of 12 columns and 8 columns of dQl or dKl for the second half of
  // the columns.
  EXPECT_LE(peak(16384, 256, true) - peak(4096, 256, true), (16384 - 4096) * (12 + 8) * 4);
  EXPECT_LT(peak(4096, 4096, false), size_t{4} << 20);  // the scores are 64 MiB
}

}  // namespace
}  // namespace trainyard
