// Rows of tables beside loops in float64.
#include "core/tensor/kernels/embedding_kernels.h"
#include "tests/core/tensor/cuda/kernel_test.h"

namespace trainyard {
namespace {

class CudaEmbeddingTest : public CudaKernelTest {};
INSTANTIATE_CUDA_KERNEL_TEST(CudaEmbeddingTest);

TEST_P(CudaEmbeddingTest, GathersRowsAndZerosForMinusOne) {
  const int64_t v = 17, d = 45, n = 29;
  const Numbers table = RandomNumbers(v * d, 1);
  const std::vector<int32_t> indices = RandomIntegers(n, -1, v - 1, 2);
  Numbers expected;
  for (const int32_t index : indices) {
    for (int64_t j = 0; j < d; ++j) expected.push_back(index < 0 ? 0 : 1.5 * table[index * d + j]);
  }
  Check(
      [&](Device& on, DType type) {
        const Tensor out = Tensor::Empty(on, {n, d}, type);
        on.embedding().Gather(Put(on, {v, d}, table, type), PutIntegers(on, {n}, indices), 1.5,
                              out);
        return std::vector{out};
      },
      {expected});
}

// Tables of one digit of the sort, and of two; several tiles of positions.
TEST_P(CudaEmbeddingTest, ScattersSumsOfEqualIndices) {
  for (const int64_t v : {1, 7, 255, 256, 1000}) {
    SCOPED_TRACE(v);
    const int64_t d = 5, n = 700;
    const Numbers before = RandomNumbers(v * d, 3);
    const Numbers dy = RandomNumbers(n * d, 4);
    const std::vector<int32_t> indices = RandomIntegers(n, -1, static_cast<int32_t>(v) - 1, 5);
    Numbers expected = before;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < d && indices[i] >= 0; ++j) {
        expected[indices[i] * d + j] += 0.5 * dy[i * d + j];
      }
    }
    Check(
        [&](Device& on, DType type) {
          const Tensor table = Put(on, {v, d}, before, type);
          on.embedding().ScatterAdd(PutIntegers(on, {n}, indices), Put(on, {n, d}, dy, type), 0.5,
                                    table);
          return std::vector{table};
        },
        {expected}, 1e-5);
  }
}

// In the order of the indices, so that float32 gives the same bits as a plain loop.
TEST_P(CudaEmbeddingTest, ScattersInTheOrderOfTheIndices) {
  const std::vector<int32_t> indices = RandomIntegers(1500, 0, 2, 6);
  const Numbers dy = RandomNumbers(1500, 7);
  std::vector<float> expected(3, 0.0F);
  for (size_t i = 0; i < dy.size(); ++i) {
    expected[static_cast<size_t>(indices[i])] += static_cast<float>(dy[i]);
  }
  const Tensor table = Tensor::Zeros(device(), {3, 1});
  device().embedding().ScatterAdd(PutIntegers(device(), {1500}, indices),
                                  Put(device(), {1500, 1}, dy, DType::kFloat32), 1, table);
  EXPECT_EQ(table.ToVector<float>(), expected);
}

}  // namespace
}  // namespace trainyard
