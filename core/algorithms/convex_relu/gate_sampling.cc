#include "core/algorithms/convex_relu/gate_sampling.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/random.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

// Streams of gates are apart from other streams of the same seed.
constexpr uint64_t kFirstStream = uint64_t{1} << 40;
constexpr int64_t kMaxSubsets = int64_t{1} << 62;

absl::Status CheckSampling(const GateSampling& sampling) {
  if (sampling.features < 1 || sampling.count < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("gates need features and a count of 1 at least, but there are ",
                     sampling.features, " features and a count of ", sampling.count));
  }
  return absl::OkStatus();
}

Rng StreamOf(const GateSampling& sampling, int64_t index) {
  return Rng(sampling.seed, kFirstStream + static_cast<uint64_t>(index));
}

class GaussianSource : public GateSource {
 public:
  explicit GaussianSource(const GateSampling& sampling) : sampling_(sampling) {}

  int64_t count() const override { return sampling_.count; }
  void Sample(int64_t index, std::span<double> gate) const override {
    Rng rng = StreamOf(sampling_, index);
    for (int i = 0; i < sampling_.features; ++i) gate[static_cast<size_t>(i)] = rng.NextGaussian();
  }

 private:
  GateSampling sampling_;
};

// C(n, k), at most kMaxSubsets + 1.
int64_t Binomial(int64_t n, int64_t k) {
  __extension__ using Wide = __int128;
  Wide value = 1;
  for (int64_t i = 1; i <= std::min(k, n - k); ++i) {
    value = value * (n - i + 1) / i;
    if (value > kMaxSubsets) return kMaxSubsets + 1;
  }
  return static_cast<int64_t>(value);
}

class FeatureSparseSource : public GateSource {
 public:
  // `subsets_of_size[k]`: C(features, k + 1).
  FeatureSparseSource(const GateSampling& sampling, std::vector<int64_t> subsets_of_size)
      : sampling_(sampling), subsets_of_size_(std::move(subsets_of_size)) {
    for (const int64_t subsets : subsets_of_size_) subsets_ += subsets;
  }

  int64_t count() const override {
    if (subsets_ > sampling_.count) return sampling_.count;
    return (sampling_.count + subsets_ - 1) / subsets_ * subsets_;
  }

  void Sample(int64_t index, std::span<double> gate) const override {
    Rng rng = StreamOf(sampling_, index);
    int64_t rank = subsets_ > sampling_.count
                       ? static_cast<int64_t>(rng.UniformInt(static_cast<uint64_t>(subsets_)))
                       : index % subsets_;
    size_t size = 0;
    while (rank >= subsets_of_size_[size]) rank -= subsets_of_size_[size++];
    // The subset of that rank among those of its size, in lexicographic order.
    int64_t left = static_cast<int64_t>(size) + 1;
    for (int64_t feature = 0; left > 0; ++feature) {
      const int64_t with = Binomial(sampling_.features - feature - 1, left - 1);
      if (rank < with) {
        gate[static_cast<size_t>(feature)] = rng.NextGaussian();
        --left;
      } else {
        rank -= with;
      }
    }
  }

 private:
  GateSampling sampling_;
  std::vector<int64_t> subsets_of_size_;
  int64_t subsets_ = 0;
};

class ConvolutionalSource : public GateSource {
 public:
  ConvolutionalSource(const GateSampling& sampling, const ImageShape& image, int kernel)
      : sampling_(sampling), image_(image), kernel_(kernel) {}

  int64_t count() const override { return sampling_.count; }
  void Sample(int64_t index, std::span<double> gate) const override {
    Rng rng = StreamOf(sampling_, index);
    const auto place = [&](int size) {
      return static_cast<int>(
          rng.UniformInt(static_cast<uint64_t>(size) - static_cast<uint64_t>(kernel_) + 1));
    };
    const int top = place(image_.height);
    const int left = place(image_.width);
    for (int y = top; y < top + kernel_; ++y) {
      const int begin = (y * image_.width + left) * image_.channels;
      for (int i = begin; i < begin + kernel_ * image_.channels; ++i) {
        gate[static_cast<size_t>(i)] = rng.NextGaussian();
      }
    }
  }

 private:
  GateSampling sampling_;
  ImageShape image_;
  int kernel_;
};

class DataSource : public GateSource {
 public:
  DataSource(const GateSampling& sampling, const PaddedMatrix<double>& data)
      : sampling_(sampling), data_(data) {}

  int64_t count() const override { return sampling_.count; }
  void Sample(int64_t index, std::span<double> gate) const override {
    Rng rng = StreamOf(sampling_, index);
    const auto rows = static_cast<uint64_t>(data_.rows());
    const uint64_t first = rng.UniformInt(rows);
    const uint64_t other = (first + 1 + rng.UniformInt(rows - 1)) % rows;
    const double* const a = data_.row(static_cast<int64_t>(first));
    const double* const b = data_.row(static_cast<int64_t>(other));
    double middle = 0;
    for (int i = 0; i < sampling_.features; ++i) {
      gate[static_cast<size_t>(i)] = a[i] - b[i];
      middle += (a[i] - b[i]) * (a[i] + b[i]) / 2;
    }
    if (data_.columns() > sampling_.features) gate.back() = -middle / a[sampling_.features];
  }

 private:
  GateSampling sampling_;
  const PaddedMatrix<double>& data_;
};

class GivenSource : public GateSource {
 public:
  explicit GivenSource(PaddedMatrix<double> gates) : gates_(std::move(gates)) {}

  int64_t count() const override { return gates_.rows(); }
  void Sample(int64_t index, std::span<double> gate) const override {
    std::copy_n(gates_.row(index), gate.size(), gate.begin());
  }

 private:
  PaddedMatrix<double> gates_;
};

}  // namespace

absl::Status CheckBiasColumn(const PaddedMatrix<double>& data) {
  const int last = data.columns() - 1;
  for (int64_t row = 0; row < data.rows(); ++row) {
    const double bias = data.row(row)[last];
    if (bias == 0 || bias != data.row(0)[last]) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the bias column must be constant and not zero, but is ", bias, " in row ", row));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<GateSource>> GaussianGates(const GateSampling& sampling) {
  TY_RETURN_IF_ERROR(CheckSampling(sampling));
  return std::make_unique<GaussianSource>(sampling);
}

absl::StatusOr<std::unique_ptr<GateSource>> FeatureSparseGates(const GateSampling& sampling,
                                                               int order) {
  TY_RETURN_IF_ERROR(CheckSampling(sampling));
  if (order < 1 || order > sampling.features) {
    return absl::InvalidArgumentError(absl::StrCat("the order of sparse gates must be 1 to ",
                                                   sampling.features, " but is ", order));
  }
  std::vector<int64_t> subsets_of_size;
  int64_t subsets = 0;
  for (int size = 1; size <= order; ++size) {
    subsets_of_size.push_back(Binomial(sampling.features, size));
    if (subsets_of_size.back() > kMaxSubsets - subsets) {
      return absl::InvalidArgumentError(absl::StrCat("there are too many subsets of up to ", order,
                                                     " of ", sampling.features, " features"));
    }
    subsets += subsets_of_size.back();
  }
  return std::make_unique<FeatureSparseSource>(sampling, std::move(subsets_of_size));
}

absl::StatusOr<std::unique_ptr<GateSource>> ConvolutionalGates(const GateSampling& sampling,
                                                               const ImageShape& image,
                                                               int kernel) {
  TY_RETURN_IF_ERROR(CheckSampling(sampling));
  if (image.height < 1 || image.width < 1 || image.channels < 1 ||
      int64_t{image.height} * image.width * image.channels != sampling.features) {
    return absl::InvalidArgumentError(absl::StrCat("images of ", image.height, " x ", image.width,
                                                   " x ", image.channels, " do not have ",
                                                   sampling.features, " features"));
  }
  if (kernel < 1 || kernel > std::min(image.height, image.width)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the window of convolutional gates must be 1 to ",
                     std::min(image.height, image.width), " pixels wide but is ", kernel));
  }
  return std::make_unique<ConvolutionalSource>(sampling, image, kernel);
}

absl::StatusOr<std::unique_ptr<GateSource>> DataGates(const GateSampling& sampling,
                                                      const PaddedMatrix<double>& data) {
  TY_RETURN_IF_ERROR(CheckSampling(sampling));
  if (data.rows() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("gates between rows need two rows, but there are ", data.rows()));
  }
  if (data.columns() < sampling.features) {
    return absl::InvalidArgumentError(absl::StrCat("gates of ", sampling.features,
                                                   " features need as many columns, but there are ",
                                                   data.columns()));
  }
  if (data.columns() > sampling.features) TY_RETURN_IF_ERROR(CheckBiasColumn(data));
  return std::make_unique<DataSource>(sampling, data);
}

std::unique_ptr<GateSource> GivenGates(PaddedMatrix<double> gates) {
  return std::make_unique<GivenSource>(std::move(gates));
}

}  // namespace trainyard::convex_relu
