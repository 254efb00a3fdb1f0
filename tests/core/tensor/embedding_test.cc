// Against loops over the rows.
#include "core/tensor/kernels/embedding_kernels.h"
#include "tests/core/tensor/kernel_test.h"

namespace trainyard {
namespace {

class EmbeddingKernelTest : public KernelTest {};
TRAINYARD_INSTANTIATE_KERNEL_TEST(EmbeddingKernelTest);

std::vector<int32_t> SomeIndices(int64_t n, int64_t v) {
  std::vector<int32_t> indices;
  for (int64_t i = 0; i < n; ++i) {
    indices.push_back(i % 7 == 3 ? -1 : static_cast<int32_t>(i * i % v));
  }
  return indices;
}

TEST_P(EmbeddingKernelTest, GathersAndScattersRows) {
  for (const auto& [n, v, d] : {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1},
                                {9, 4, 3},
                                {1500, 50, 67},
                                {2000, 900, 130}}) {
    SCOPED_TRACE(testing::Message() << n << " of " << v << " x " << d);
    const std::vector<int32_t> rows = SomeIndices(n, v);
    const Tensor indices = Integers({n}, rows);
    const Tensor table = Random({v, d}, 1);
    const Tensor out = Random({n, d}, 2);
    device_.embedding().Gather(table, indices, 1.5, out);
    const Tensor dtable = Random({v, d}, 3);
    const Tensor dy = Random({n, d}, 4);
    std::vector<double> values;
    std::vector<double> sums = Doubles(dtable);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < d; ++j) {
        values.push_back(rows[i] < 0 ? 0 : 1.5 * At(table, {rows[i], j}));
        if (rows[i] >= 0) sums[rows[i] * d + j] += 0.5 * At(dy, {i, j});
      }
    }
    ExpectNear(out, values, tolerance());
    device_.embedding().ScatterAdd(indices, dy, 0.5, dtable);
    ExpectNear(dtable, sums, tolerance(), 30);
  }
}

TEST_P(EmbeddingKernelTest, BitsDoNotDependOnTheNumberOfThreads) {
  const std::vector<int32_t> rows = SomeIndices(3000, 11);
  ExpectSameBitsForAnyThreads([&](CpuDevice& device) {
    const Tensor dtable = Tensor::Zeros(device, {11, 70}, type_);
    device.embedding().ScatterAdd(Tensor::FromValues<int32_t>(device, {3000}, rows),
                                  RandomTensor(device, {3000, 70}, type_, 1), 1, dtable);
    return dtable;
  });
}

}  // namespace
}  // namespace trainyard
