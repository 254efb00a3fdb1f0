#include "core/model_io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "core/base/testing/faulty_file_system.h"
#include "tests/paths.h"

namespace trainyard {
namespace {

using testing::HasSubstr;

const std::filesystem::path kSample =
    std::filesystem::path(kTestData) / "model_io" / "sample.safetensors";

// The tensors of the sample, which tests/data/model_io/README.md gives as Python code.
struct SampleTensors {
  std::vector<double> weights = {1.5, -2.25, 1e-300, 0.1, std::numeric_limits<double>::infinity(),
                                 -0.0};
  std::vector<float> small = {0.5, -1.25};
  std::vector<int32_t> index = {3, -1, 2147483647};
  std::vector<int64_t> count = {-9007199254740993};
  std::vector<uint8_t> bytes = {0, 255, 7, 1};
  std::vector<uint8_t> flags = {1, 0, 1};
  std::vector<float> named = {2};

  std::vector<TensorView> Views() const {
    std::vector<TensorView> views = {TensorView::Of("hidden.weight", {2, 3}, weights),
                                     TensorView::Of("small", {2}, small),
                                     TensorView::Of("index", {3}, index),
                                     TensorView::Of("count", {}, count),
                                     TensorView::Of("bytes", {2, 2}, bytes),
                                     TensorView::Of("flags", {3}, flags),
                                     TensorView::Of("empty", {0, 4}, std::span<const double>()),
                                     TensorView::Of("n\u00e4me \"quoted\"", {1}, named)};
    views[5].type = TensorType::kBool;
    return views;
  }
};

class SafetensorsTest : public testing::Test {
 protected:
  SafetensorsTest() { std::filesystem::create_directory(folder_); }
  ~SafetensorsTest() override { std::filesystem::remove_all(folder_); }

  const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) / ("safetensors_test_" + std::to_string(getpid()));
  const std::filesystem::path file_ = folder_ / "test.safetensors";
};

std::string WithHeader(const std::string& header, const std::string& data = "") {
  const uint64_t length = header.size();
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof(length));
  return absl::StrCat(bytes, header, data);
}

TEST_F(SafetensorsTest, ReadsWhatTheReferencePackageWrote) {
  const auto file = SafetensorsFile::Open(kSample);
  ASSERT_TRUE(file.ok()) << file.status();
  const SampleTensors sample;
  EXPECT_EQ(file->metadata(), (std::map<std::string, std::string>{{"format", "np"}}));
  EXPECT_EQ(file->tensors().size(), 8u);
  for (const TensorView& view : sample.Views()) {
    const TensorView& read = file->tensors().at(view.name);
    EXPECT_EQ(read.type, view.type) << view.name;
    EXPECT_EQ(read.shape, view.shape) << view.name;
    EXPECT_EQ(read.bytes, view.bytes) << view.name;
  }
  EXPECT_EQ(*file->Doubles("hidden.weight", {2, 3}), sample.weights);
  EXPECT_EQ(*file->Int32s("index", {3}), sample.index);
  EXPECT_EQ(*file->Int64s("count", {}), sample.count);
  EXPECT_EQ(file->Doubles("hidden.weight", {3, 2}).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(file->Doubles("small", {2}).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(file->Doubles("absent", {2}).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SafetensorsTest, WritesTheBytesOfTheReferencePackage) {
  const SampleTensors sample;
  ASSERT_TRUE(WriteSafetensors(file_, sample.Views(), {{"format", "np"}}, {}).ok());
  EXPECT_EQ(*ReadFile(file_), *ReadFile(kSample));
}

TEST_F(SafetensorsTest, EveryTruncationIsDataLoss) {
  const std::string bytes = *ReadFile(kSample);
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto file = SafetensorsFile::Parse(std::string_view(bytes).substr(0, size));
    EXPECT_EQ(file.status().code(), absl::StatusCode::kDataLoss) << size;
  }
  EXPECT_EQ(SafetensorsFile::Parse(bytes + "x").status().code(), absl::StatusCode::kDataLoss);
}

// A changed byte of the data gives other values; of the header, DATA_LOSS or another header whose
// tensors still fill the data exactly.
TEST_F(SafetensorsTest, EveryChangedByteIsDataLossOrAnotherWholeFile) {
  const std::string whole = *ReadFile(kSample);
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const char change : {'\x01', '\x02', '\x10', '\x20', '\x40', '\x80', '\xFF'}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      const auto file = SafetensorsFile::Parse(bytes);
      if (!file.ok()) {
        EXPECT_EQ(file.status().code(), absl::StatusCode::kDataLoss);
        continue;
      }
      size_t data = 0;
      for (const auto& [name, tensor] : file->tensors()) data += tensor.bytes.size();
      EXPECT_EQ(data, 48u + 8u + 12u + 8u + 4u + 3u + 4u);
    }
  }
}

TEST_F(SafetensorsTest, RefusesHeadersThatBreakTheFormat) {
  const std::string eight(8, '\0');
  const std::string good = R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})";
  ASSERT_TRUE(SafetensorsFile::Parse(WithHeader(good, eight)).ok());
  ASSERT_TRUE(SafetensorsFile::Parse(WithHeader(good + "  ", eight)).ok());
  ASSERT_TRUE(SafetensorsFile::Parse(WithHeader("{}")).ok());
  for (
      const char* header : {
          "",
          " {}",
          "[]",
          "{} x",
          R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},})",
          R"({"a":{"dtype":"F64","shape":[1,],"data_offsets":[0,8]}})",
          R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0]}})",
          R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8,8]}})",
          R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8],"x":1}})",
          R"({"a":{"dtype":"F64","dtype":"F64","shape":[1],"data_offsets":[0,8]}})",
          R"({"a":{"dtype":"F64","shape":[1]}})",
          R"({"a":{"dtype":"F65","shape":[1],"data_offsets":[0,8]}})",
          R"({"a":{"dtype":"F64","shape":[2],"data_offsets":[0,8]}})",
          R"({"a":{"dtype":"F64","shape":[-1],"data_offsets":[0,8]}})",
          R"({"a":{"dtype":"F64","shape":[1.0],"data_offsets":[0,8]}})",
          R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[8,0]}})",
          R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[1,9]}})",
          R"({"a":{"dtype":"F64","shape":[4294967296,4294967297],"data_offsets":[0,8]}})",
          R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"a":{"dtype":"F64","shape":[0],"data_offsets":[8,8]}})",
          R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
          R"({"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[3],"data_offsets":[5,8]}})",
          R"({"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}})",
          R"({"__metadata__":{"k":1},"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})",
          R"({"__metadata__":{},"__metadata__":{},"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})",
          "{\"a\xff\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}}",
      }) {
    EXPECT_EQ(SafetensorsFile::Parse(WithHeader(header, eight)).status().code(),
              absl::StatusCode::kDataLoss)
        << header;
  }
  std::string huge = WithHeader("{}");
  std::memset(huge.data(), 0xFF, 8);
  EXPECT_EQ(SafetensorsFile::Parse(huge).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SafetensorsTest, RefusesTensorsThatCannotBeWritten) {
  const std::vector<double> two = {1, 2};
  const auto write = [&](std::vector<TensorView> tensors) {
    return WriteSafetensors(file_, std::move(tensors), {}, {});
  };
  EXPECT_THAT(write({TensorView::Of("a", {3}, two)}).message(), HasSubstr("[3] has 16 bytes"));
  EXPECT_THAT(write({TensorView::Of("a", {2}, two), TensorView::Of("a", {2}, two)}).message(),
              HasSubstr("two tensors"));
  EXPECT_EQ(write({TensorView::Of("__metadata__", {2}, two)}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(write({TensorView::Of("\xff", {2}, two)}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(SafetensorsTest, StopsWhenAskedTo) {
  const std::vector<double> large(size_t{1} << 20);
  int asked = 0;
  const absl::Status status = WriteSafetensors(
      file_, {TensorView::Of("a", {1 << 20}, large)}, {},
      [&] { return ++asked == 4 ? absl::CancelledError("enough") : absl::OkStatus(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(asked, 4);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

// Every operation of the file system fails once.
TEST_F(SafetensorsTest, FailedWritesLeaveNothing) {
  const SampleTensors sample;
  FaultyFileSystem files;
  for (int64_t at = 0;; ++at) {
    files.FailAt(at, absl::ResourceExhaustedError("full"));
    const absl::Status status = WriteSafetensors(file_, sample.Views(), {}, {}, files);
    if (status.ok()) {
      EXPECT_GT(at, 5);
      break;
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    // Only the last operation, making the new name durable, comes after the renaming.
    if (std::filesystem::exists(file_)) {
      EXPECT_TRUE(SafetensorsFile::Open(file_).ok());
      std::filesystem::remove(file_);
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder_)) << at;
  }
}

TEST_F(SafetensorsTest, DataAreAligned) {
  const SampleTensors sample;
  for (size_t extra = 0; extra < 8; ++extra) {
    ASSERT_TRUE(
        WriteSafetensors(file_, sample.Views(), {{"pad", std::string(extra, 'x')}}, {}).ok());
    const auto file = SafetensorsFile::Open(file_);
    ASSERT_TRUE(file.ok());
    for (const auto& [name, tensor] : file->tensors()) {
      const auto address = reinterpret_cast<uintptr_t>(tensor.bytes.data());
      EXPECT_EQ(address % static_cast<uintptr_t>(TensorTypeSize(tensor.type)), 0u) << name;
    }
  }
}

}  // namespace
}  // namespace trainyard
