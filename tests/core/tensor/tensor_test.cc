// Views against arithmetic on indices.
#include "core/tensor/tensor.h"

#include <gtest/gtest.h>

#include <functional>
#include <numeric>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/tensor_error.h"

namespace trainyard {
namespace {

class TensorTest : public testing::Test {
 protected:
  // Elements 0, 1, 2, … in row-major order.
  Tensor Counting(const Shape& shape) {
    std::vector<int32_t> values(static_cast<size_t>(shape.elements()));
    std::iota(values.begin(), values.end(), 0);
    return Tensor::FromValues<int32_t>(device_, shape, values);
  }

  static std::string ErrorOf(const std::function<void()>& function) {
    try {
      function();
    } catch (const TensorError& error) {
      return error.what();
    }
    return "no error";
  }

  CpuDevice device_{1};
};

TEST_F(TensorTest, KnowsItsShapeAndStrides) {
  const Tensor tensor = Tensor::Zeros(device_, {2, 3, 4});
  EXPECT_EQ(tensor.rank(), 3);
  EXPECT_EQ(tensor.elements(), 24);
  EXPECT_EQ(tensor.bytes(), 96U);
  EXPECT_EQ(tensor.stride(0), 12);
  EXPECT_EQ(tensor.stride(-1), 1);
  EXPECT_TRUE(tensor.is_contiguous());
  EXPECT_EQ(tensor.Description(), "float32 [2, 3, 4] on cpu");
  EXPECT_EQ(Tensor().Description(), "no tensor");
  EXPECT_FALSE(Tensor().defined());
}

TEST_F(TensorTest, TransposedAndPermuted) {
  const Tensor tensor = Counting({2, 3, 4});
  const Tensor transposed = tensor.Transposed();
  EXPECT_EQ(transposed.shape(), Shape({2, 4, 3}));
  const std::vector<int32_t> values = transposed.ToVector<int32_t>();
  const std::vector<int32_t> permuted = tensor.Permuted({2, 0, 1}).ToVector<int32_t>();
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 3; ++j) {
      for (int k = 0; k < 4; ++k) {
        const int32_t value = i * 12 + j * 4 + k;
        EXPECT_EQ(values[i * 12 + k * 3 + j], value);
        EXPECT_EQ(permuted[k * 6 + i * 3 + j], value);
      }
    }
  }
  EXPECT_FALSE(transposed.is_contiguous());
  EXPECT_TRUE(transposed.Transposed().is_contiguous());
  EXPECT_TRUE(transposed.SharesMemoryWith(tensor));
}

TEST_F(TensorTest, SlicesAndSelections) {
  const Tensor tensor = Counting({3, 4, 5});
  const Tensor slice = tensor.Slice(1, 1, 2).Slice(-1, 2, 3);
  const std::vector<int32_t> values = slice.ToVector<int32_t>();
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 2; ++j) {
      for (int k = 0; k < 3; ++k) {
        EXPECT_EQ(values[(i * 2 + j) * 3 + k], i * 20 + (j + 1) * 5 + k + 2);
      }
    }
  }
  EXPECT_EQ(tensor.Select(0, 2).Select(1, 3).ToVector<int32_t>(),
            (std::vector<int32_t>{43, 48, 53, 58}));
  EXPECT_EQ(tensor.Slice(0, 1, 0).elements(), 0);
  EXPECT_EQ(tensor.Slice(0, 3, 0).ToVector<int32_t>(), std::vector<int32_t>());
}

TEST_F(TensorTest, ViewsOfContiguousTensors) {
  const Tensor tensor = Counting({4, 6});
  EXPECT_EQ(tensor.View({2, 2, 3, 2}).ToVector<int32_t>(), tensor.ToVector<int32_t>());
  EXPECT_EQ(tensor.View({-1, 8}).shape(), Shape({3, 8}));
  EXPECT_EQ(tensor.View({24, 1, 1}).stride(0), 1);
  EXPECT_EQ(Counting({1, 1}).View(Shape{}).Item(), 0);
  EXPECT_EQ(Counting({0, 3}).View({3, 5, 0}).elements(), 0);
}

TEST_F(TensorTest, ViewsOfOtherLayoutsWhereNoCopyIsNeeded) {
  const Tensor whole = Counting({5, 6, 4});
  // A slice can be split, and joined where its dimensions follow each other in memory.
  const Tensor slice = whole.Slice(1, 2, 2);
  ASSERT_TRUE(slice.CanView({5, 8}));
  EXPECT_EQ(slice.View({5, 8}).ToVector<int32_t>(), slice.ToVector<int32_t>());
  EXPECT_EQ(slice.View({5, 2, 2, 2}).ToVector<int32_t>(), slice.ToVector<int32_t>());
  EXPECT_FALSE(slice.CanView({40}));
  EXPECT_FALSE(whole.Transposed().CanView({5, 24}));
  // A split dimension of a transposed tensor.
  const Tensor transposed = whole.Transposed();
  ASSERT_TRUE(transposed.CanView({5, 2, 2, 6}));
  EXPECT_EQ(transposed.View({5, 2, 2, 6}).ToVector<int32_t>(), transposed.ToVector<int32_t>());
  EXPECT_FALSE(slice.CanView({5, 9}));
}

// Whether some strides show the source's elements in row-major order: they can only be the
// distances of its elements.
bool SomeStridesFit(const Tensor& source, const Shape& shape) {
  std::vector<int64_t> offsets = {0};
  for (int axis = 0; axis < source.rank(); ++axis) {
    std::vector<int64_t> longer;
    for (const int64_t offset : offsets) {
      for (int64_t i = 0; i < source.size(axis); ++i) {
        longer.push_back(offset + i * source.stride(axis));
      }
    }
    offsets = longer;
  }
  if (shape.elements() != source.elements()) return false;
  for (int64_t index = 0; index < source.elements(); ++index) {
    int64_t offset = 0;
    int64_t rest = index;
    int64_t step = 1;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      if (shape[axis] > 1) offset += rest % shape[axis] * offsets[step];
      rest /= shape[axis];
      step *= shape[axis];
    }
    if (offset != offsets[index]) return false;
  }
  return true;
}

TEST_F(TensorTest, ViewShowsTheSameElementsWhereverItIsPossible) {
  const Tensor whole = Counting({2, 3, 8});
  const std::vector<Tensor> sources = {whole.Slice(2, 1, 4), whole.Slice(2, 0, 4).Transposed(),
                                       whole.Slice(1, 0, 1).Slice(2, 2, 6).Transposed(0, 2),
                                       whole.Slice(2, 3, 1).BroadcastTo({2, 3, 4}),
                                       Counting({3, 1}).BroadcastTo({2, 3, 4})};
  const std::vector<Shape> shapes = {{24},      {2, 12},   {12, 2},      {6, 4},       {4, 6},
                                     {2, 3, 4}, {2, 4, 3}, {2, 3, 2, 2}, {1, 2, 12},   {6, 2, 2},
                                     {12},      {2, 6},    {6, 2},       {2, 1, 6, 1}, {3, 4, 2}};
  for (const Tensor& source : sources) {
    for (const Shape& shape : shapes) {
      ASSERT_EQ(source.CanView(shape), SomeStridesFit(source, shape))
          << source.shape().ToString() << " as " << shape.ToString();
      if (!source.CanView(shape)) {
        EXPECT_NE(ErrorOf([&] { source.View(shape); }), "no error");
        continue;
      }
      const Tensor view = source.View(shape);
      EXPECT_EQ(view.ToVector<int32_t>(), source.ToVector<int32_t>()) << shape.ToString();
      EXPECT_TRUE(view.SharesMemoryWith(source));
    }
  }
}

TEST_F(TensorTest, BroadcastsRepeat) {
  const Tensor row = Counting({3});
  EXPECT_EQ(row.BroadcastTo({2, 3}).ToVector<int32_t>(), (std::vector<int32_t>{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(row.Unsqueezed(1).BroadcastTo({3, 2}).ToVector<int32_t>(),
            (std::vector<int32_t>{0, 0, 1, 1, 2, 2}));
  EXPECT_EQ(Counting({}).BroadcastTo({2, 2}).ToVector<int32_t>(),
            (std::vector<int32_t>{0, 0, 0, 0}));
  EXPECT_EQ(row.Unsqueezed(-1).shape(), Shape({3, 1}));
  EXPECT_EQ(row.Unsqueezed(0).shape(), Shape({1, 3}));
}

TEST_F(TensorTest, CopiesAndFills) {
  const Tensor tensor = Counting({3, 4});
  const Tensor clone = tensor.Transposed().Clone();
  EXPECT_TRUE(clone.is_contiguous());
  EXPECT_FALSE(clone.SharesMemoryWith(tensor));
  EXPECT_EQ(clone.ToVector<int32_t>(), tensor.Transposed().ToVector<int32_t>());
  tensor.Select(1, 2).Fill(-1);
  EXPECT_EQ(tensor.ToVector<int32_t>(),
            (std::vector<int32_t>{0, 1, -1, 3, 4, 5, -1, 7, 8, 9, -1, 11}));
  tensor.Slice(0, 0, 1).CopyFrom(tensor.Slice(0, 2, 1));
  EXPECT_EQ(tensor.Slice(0, 0, 1).ToVector<int32_t>(), (std::vector<int32_t>{8, 9, -1, 11}));
  EXPECT_TRUE(tensor.Contiguous().SharesMemoryWith(tensor));
  CpuDevice other(2);
  const Tensor moved = tensor.Transposed().To(other);
  EXPECT_EQ(&moved.device(), &other);
  EXPECT_EQ(moved.ToVector<int32_t>(), tensor.Transposed().ToVector<int32_t>());
}

TEST_F(TensorTest, MemoryGoesBackWithTheLastView) {
  const size_t before = device_.memory().statistics().live_bytes;
  {
    Tensor view;
    {
      const Tensor tensor = Tensor::Zeros(device_, {1000});
      EXPECT_TRUE(tensor.IsSoleOwner());
      view = tensor.Slice(0, 5, 10);
      EXPECT_FALSE(tensor.IsSoleOwner());
    }
    EXPECT_GT(device_.memory().statistics().live_bytes, before);
    EXPECT_EQ(view.ToVector<float>(), std::vector<float>(10, 0.0F));
  }
  EXPECT_EQ(device_.memory().statistics().live_bytes, before);
}

TEST_F(TensorTest, BorrowsMemoryOfOthers) {
  std::vector<double> values = {1, 2, 3, 4};
  const Tensor tensor = Tensor::Borrow(device_, {2, 2}, DType::kFloat64, values.data());
  tensor.Select(0, 1).Fill(9);
  EXPECT_EQ(values, (std::vector<double>{1, 2, 9, 9}));
}

TEST_F(TensorTest, ErrorsSayWhatIsWrong) {
  const Tensor tensor = Tensor::Zeros(device_, {2, 3});
  const std::string name = "float32 [2, 3] on cpu";
  EXPECT_EQ(ErrorOf([&] { tensor.Slice(1, 2, 2); }), "slice: elements 2 to 4 of axis 1 of " + name);
  EXPECT_EQ(ErrorOf([&] { tensor.Permuted({0, 0}); }), "permute: axis 0 named twice for " + name);
  EXPECT_EQ(ErrorOf([&] { tensor.Permuted({0}); }), "permute: 1 axes for " + name);
  EXPECT_EQ(ErrorOf([&] { tensor.View({4, 2}); }), "view: " + name + " cannot be seen as [4, 2]");
  EXPECT_EQ(ErrorOf([&] { tensor.View({-1, 4}); }), "view: " + name + " cannot be seen as [1, 4]");
  EXPECT_EQ(ErrorOf([&] {
              tensor.BroadcastTo({3, 3});
            }),
            "broadcast: " + name + " does not fit [3, 3]");
  EXPECT_EQ(ErrorOf([&] { tensor.BroadcastTo({3}); }), "broadcast: " + name + " does not fit [3]");
  EXPECT_EQ(ErrorOf([&] { tensor.data<double>(); }), "tensor: float64 elements asked of " + name);
  EXPECT_EQ(ErrorOf([&] { tensor.Item(); }), "item: " + name + " has not one element");
  EXPECT_EQ(ErrorOf([&] {
              tensor.CopyFrom(Tensor::Zeros(device_, {3, 2}));
            }),
            "copy: from float32 [3, 2] on cpu to " + name);
  EXPECT_EQ(ErrorOf([&] { Tensor::FromValues<int32_t>(device_, {2}, std::vector<int32_t>(3)); }),
            "tensor: 3 values for the shape [2]");
  EXPECT_EQ(ErrorOf([&] {
              ExpectShape("scale", "gain", tensor, {-1, 4});
            }),
            "scale: gain is " + name + "; expected [any, 4]");
  EXPECT_EQ(ErrorOf([&] { ExpectAlike("add", tensor, tensor.To(DType::kFloat64)); }),
            "add: " + name + " and float64 [2, 3] on cpu are not of one type on one device");
  EXPECT_EQ(ErrorOf([&] { ExpectShape("scale", "gain", tensor, {2, -1}); }), "no error");
}

}  // namespace
}  // namespace trainyard
