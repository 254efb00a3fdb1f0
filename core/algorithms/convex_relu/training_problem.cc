#include "core/algorithms/convex_relu/training_problem.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/algorithms/convex_relu/gate_sampling.h"
#include "core/algorithms/convex_relu/network.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

using Spec = v1::ConvexReluSpec;
using Gates = v1::ConvexReluGates;

// Columns up to which the norm of the data is computed, not bounded by that of Frobenius.
constexpr int kMostNormColumns = 300;
// Rows encoded between two questions whether to go on.
constexpr int64_t kBlockRows = 4096;

LossKind LossOf(const Spec& spec) {
  switch (spec.loss()) {
    case Spec::LOSS_LOGISTIC:
      return LossKind::kLogistic;
    case Spec::LOSS_SOFTMAX:
      return LossKind::kSoftmax;
    default:
      return LossKind::kSquared;
  }
}

DenseEncoderOptions EncoderOptions(const Spec& spec) {
  DenseEncoderOptions options;
  options.standardize = spec.scaling() == Spec::SCALING_STANDARDIZED;
  // Windows of an image know pixels only.
  options.missing_indicators = spec.gates().sampler() != Gates::SAMPLER_CONVOLUTIONAL;
  return options;
}

// Another source's gates in some of their coordinates: those of the pixels that vary.
class KeptCoordinates final : public GateSource {
 public:
  // `kept` are coordinates of the inner source; where the gate is longer, the rest stays zero.
  KeptCoordinates(std::unique_ptr<GateSource> inner, int inner_features, std::vector<int> kept)
      : inner_(std::move(inner)), inner_features_(inner_features), kept_(std::move(kept)) {}
  int64_t count() const override { return inner_->count(); }
  void Sample(int64_t index, std::span<double> gate) const override {
    std::vector<double> whole(static_cast<size_t>(inner_features_), 0.0);
    inner_->Sample(index, whole);
    for (size_t k = 0; k < kept_.size(); ++k) gate[k] = whole[static_cast<size_t>(kept_[k])];
  }

 private:
  const std::unique_ptr<GateSource> inner_;
  const int inner_features_;
  const std::vector<int> kept_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TrainingProblem>> TrainingProblem::Build(
    const Spec& spec, const LearningTable& data, std::span<const int64_t> rows,
    const Table* gate_table, ThreadPool& pool, const std::function<absl::Status()>& check) {
  TY_ASSIGN_OR_RETURN(DenseEncoder encoder,
                      DenseEncoder::Learn(*data.table, data.columns.features, rows,
                                          data.WeightsOf(rows), EncoderOptions(spec), check));
  std::unique_ptr<TrainingProblem> problem(
      new TrainingProblem(spec, data, rows, std::move(encoder)));
  TY_RETURN_IF_ERROR(problem->EncodeRows(pool, check));
  problem->ScaleColumns();
  problem->MakeTargets();
  TY_RETURN_IF_ERROR(problem->SampleGates(gate_table, pool, check));
  problem->BoundNorm();
  return problem;
}

TrainingProblem::TrainingProblem(const Spec& spec, const LearningTable& data,
                                 std::span<const int64_t> rows, DenseEncoder encoder)
    : spec_(spec),
      table_(data),
      rows_(rows.begin(), rows.end()),
      encoder_(std::move(encoder)),
      has_bias_(spec.bias()),
      data_(static_cast<int64_t>(rows.size()), encoder_.width() + (spec.bias() ? 1 : 0)) {}

absl::Status TrainingProblem::EncodeRows(ThreadPool& pool,
                                         const std::function<absl::Status()>& check) {
  TY_ASSIGN_OR_RETURN(const DenseColumns columns, encoder_.Bind(*table_.table));
  for (int64_t begin = 0; begin < data_.rows(); begin += kBlockRows) {
    TY_RETURN_IF_ERROR(check());
    const int64_t end = std::min(begin + kBlockRows, data_.rows());
    encoder_.Encode<double>(
        columns,
        std::span(rows_).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
        data_.row(begin), data_.stride(), pool);
    if (!has_bias_) continue;
    for (int64_t j = begin; j < end; ++j) data_.row(j)[data_.columns() - 1] = 1;
  }
  return absl::OkStatus();
}

// Sums relative to the largest number of a column, whose square may be infinite.
void TrainingProblem::ScaleColumns() {
  norms_.assign(static_cast<size_t>(data_.columns()), 1.0);
  if (spec_.scaling() == Spec::SCALING_NONE) return;
  Eigen::ArrayXd largest = Eigen::ArrayXd::Zero(data_.columns());
  for (int64_t j = 0; j < data_.rows(); ++j) {
    largest = largest.max(Eigen::Map<const Eigen::ArrayXd>(data_.row(j), data_.columns()).abs());
  }
  const Eigen::ArrayXd unit = (largest > 0).select(largest, 1);
  Eigen::ArrayXd squares = Eigen::ArrayXd::Zero(data_.columns());
  for (int64_t j = 0; j < data_.rows(); ++j) {
    squares += (Eigen::Map<const Eigen::ArrayXd>(data_.row(j), data_.columns()) / unit).square();
  }
  Eigen::Map<Eigen::ArrayXd> norms(norms_.data(), data_.columns());
  norms = squares.sqrt() * unit;
  const Eigen::ArrayXd divisors = (norms > 0).select(norms, 1);
  for (int64_t j = 0; j < data_.rows(); ++j) {
    Eigen::Map<Eigen::ArrayXd>(data_.row(j), data_.columns()) /= divisors;
  }
}

void TrainingProblem::MakeTargets() {
  const size_t n = rows_.size();
  targets_.loss = LossOf(spec_);
  targets_.rows = static_cast<int64_t>(n);
  targets_.weights = table_.WeightsOf(rows_);
  double total = std::accumulate(targets_.weights.begin(), targets_.weights.end(), 0.0);
  for (double& weight : targets_.weights) weight *= static_cast<double>(n) / total;
  if (targets_.weights.empty()) total = static_cast<double>(n);
  if (table_.classification()) {
    const std::vector<int32_t> classes = table_.ClassesOf(rows_);
    const bool one = table_.outputs() == 2 && targets_.loss != LossKind::kSoftmax;
    targets_.outputs = one ? 1 : table_.outputs();
    const double other = one || targets_.loss == LossKind::kLogistic ? -1 : 0;
    targets_.values.assign(n * static_cast<size_t>(targets_.outputs), other);
    for (size_t j = 0; j < n; ++j) {
      if (one && classes[j] == 0) continue;
      targets_.values[(one ? 0 : static_cast<size_t>(classes[j])) * n + j] = 1;
    }
    return;
  }
  targets_.outputs = table_.outputs();
  const size_t outputs = static_cast<size_t>(targets_.outputs);
  const std::vector<double> values = table_.ValuesOf(rows_);
  targets_.values.resize(n * outputs);
  output_offset_.assign(outputs, 0.0);
  for (size_t o = 0; o < outputs; ++o) {
    double mean = 0;
    for (size_t j = 0; j < n && spec_.center_targets(); ++j) {
      const double weight = targets_.weights.empty() ? 1 : targets_.weights[j];
      mean += weight * values[j * outputs + o] / static_cast<double>(n);
    }
    output_offset_[o] = mean;
    for (size_t j = 0; j < n; ++j) targets_.values[o * n + j] = values[j * outputs + o] - mean;
  }
}

absl::Status TrainingProblem::SampleGates(const Table* gate_table, ThreadPool& pool,
                                          const std::function<absl::Status()>& check) {
  TY_ASSIGN_OR_RETURN(const std::unique_ptr<GateSource> source, Source(gate_table));
  GateOptions options;
  if (spec_.gates().has_active_proportion()) {
    options.active_proportion = spec_.gates().active_proportion();
  }
  TY_ASSIGN_OR_RETURN(gates_, FindPatterns(data_, *source, options, pool, check));
  if (patterns() > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("none of the ", gates_.sampled,
                                                 " gates is active on any of the ", rows_.size(),
                                                 " training rows; see gates"));
}

absl::StatusOr<std::unique_ptr<GateSource>> TrainingProblem::Source(const Table* gate_table) const {
  const Gates& gates = spec_.gates();
  GateSampling sampling;
  sampling.features = encoder_.width();
  sampling.count = gates.count();
  sampling.seed = static_cast<uint64_t>(gates.seed());
  switch (gates.sampler()) {
    case Gates::SAMPLER_FEATURE_SPARSE:
      if (gates.order() > sampling.features) {
        return absl::InvalidArgumentError(absl::StrCat("gates.order is ", gates.order(),
                                                       "; the encoded data have ",
                                                       sampling.features, " features"));
      }
      return FeatureSparseGates(sampling, gates.order());
    case Gates::SAMPLER_CONVOLUTIONAL: {
      const int features = static_cast<int>(table_.columns.features.size());
      sampling.features = features;
      const int pixels = gates.image_height() * gates.image_width();
      TY_ASSIGN_OR_RETURN(
          std::unique_ptr<GateSource> whole,
          ConvolutionalGates(sampling,
                             {gates.image_height(), gates.image_width(), features / pixels},
                             gates.kernel()));
      return std::make_unique<KeptCoordinates>(std::move(whole), features, PixelsKept());
    }
    case Gates::SAMPLER_FROM_DATA:
      return DataGates(sampling, data_);
    case Gates::SAMPLER_UPLOADED: {
      TY_ASSIGN_OR_RETURN(PaddedMatrix<double> uploaded, UploadedGates(*gate_table));
      return GivenGates(std::move(uploaded));
    }
    default:
      return GaussianGates(sampling);
  }
}

// Places, among all feature columns, of those that vary: the encoding leaves the others out.
std::vector<int> TrainingProblem::PixelsKept() const {
  std::map<std::string, int> places;
  for (size_t k = 0; k < table_.columns.features.size(); ++k) {
    places[table_.table->column(table_.columns.features[k]).name()] = static_cast<int>(k);
  }
  std::vector<int> kept;
  for (const v1::DenseEncoding::Column& column : encoder_.encoding().columns()) {
    kept.push_back(places[column.name()]);
  }
  return kept;
}

// From units of the features to those of the scaled space, where
// x = offset + scale x norm x scaled x.
absl::StatusOr<PaddedMatrix<double>> TrainingProblem::UploadedGates(const Table& table) const {
  const std::vector<std::string> names = encoder_.NumberNames();
  std::map<std::string, size_t> places;
  for (size_t k = 0; k < names.size(); ++k) places[names[k]] = k;
  PaddedMatrix<double> gates(table.row_count(), data_.columns());
  const v1::DenseEncoding& encoding = encoder_.encoding();
  const int last = data_.columns() - 1;
  for (int column = 0; column < table.column_count(); ++column) {
    const std::string& name = table.column(column).name();
    const auto place = places.find(name);
    const bool bias = name == "bias" && has_bias_ && place == places.end();
    if (!bias && place == places.end()) {
      const bool constant = std::count(encoding.constant_columns().begin(),
                                       encoding.constant_columns().end(), name) > 0;
      if (constant) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("gates.dataset: the column \"", name, "\" is no feature; features are ",
                       names.front(), names.size() > 1 ? ", " + names[1] : "",
                       names.size() > 2 ? ", …" : "", has_bias_ ? " and bias" : ""));
    }
    const std::span<const double> values = table.numbers(column);
    for (int64_t i = 0; i < table.row_count(); ++i) {
      const double value = values[static_cast<size_t>(i)];
      if (!std::isfinite(value)) {
        return absl::InvalidArgumentError(absl::StrCat("gates.dataset: column \"", name, "\", row ",
                                                       i + 1, ": is ", value,
                                                       "; gates are finite numbers"));
      }
      if (bias) {
        gates.row(i)[last] += value * norms_.back();
        continue;
      }
      const int k = static_cast<int>(place->second);
      const bool scaled = encoding.scale_size() > 0;
      gates.row(i)[k] = value * (scaled ? encoding.scale(k) : 1) * norms_[place->second];
      if (scaled) gates.row(i)[last] += value * encoding.offset(k) * norms_.back();
    }
  }
  return gates;
}

void TrainingProblem::SetAdded(const BitMatrix& known, std::span<const AddedPattern> added,
                               ThreadPool& pool) {
  const int64_t sampled = sampled_patterns();
  std::vector<uint64_t> columns = known.Columns();
  columns.resize(static_cast<size_t>(sampled * known.row_blocks()));
  PaddedMatrix<double> gates(sampled + static_cast<int64_t>(added.size()), data_.columns());
  for (int64_t i = 0; i < sampled; ++i) {
    std::copy_n(gates_.gates.row(i), data_.columns(), gates.row(i));
  }
  for (size_t i = 0; i < added.size(); ++i) {
    columns.insert(columns.end(), added[i].bits.begin(), added[i].bits.end());
    std::copy(added[i].gate.begin(), added[i].gate.end(),
              gates.row(sampled + static_cast<int64_t>(i)));
  }
  gates_.gates = std::move(gates);
  gates_.patterns = BitMatrix(known.rows(), columns, pool);
}

void TrainingProblem::BoundNorm() {
  if (data_.columns() > kMostNormColumns) {
    double squares = 0;
    for (int64_t j = 0; j < data_.rows(); ++j) {
      squares += Eigen::Map<const Eigen::VectorXd>(data_.row(j), data_.columns()).squaredNorm();
    }
    data_norm_ = std::sqrt(squares);
    return;
  }
  Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(data_.columns(), data_.columns());
  const Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, 0,
                   Eigen::OuterStride<>>
      x(data_.data(), data_.rows(), data_.columns(), Eigen::OuterStride<>(data_.stride()));
  gram.selfadjointView<Eigen::Lower>().rankUpdate(x.transpose());
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram, Eigen::EigenvaluesOnly);
  data_norm_ = std::sqrt(std::max(solver.eigenvalues().maxCoeff(), 0.0)) * (1 + 1e-9);
}

absl::StatusOr<NetworkModel> TrainingProblem::ModelOf(std::span<const FitBlock> blocks) const {
  std::vector<SolutionBlock> solution;
  for (const FitBlock& block : blocks) {
    const double* gate = gates_.gates.row(block.pattern);
    solution.push_back({block.output,
                        static_cast<double>(block.sign),
                        block.weights,
                        {gate, static_cast<size_t>(data_.columns())}});
  }
  SolutionSpace space;
  space.column_norms = norms_;
  space.has_bias = has_bias_;
  space.output_offset = output_offset_;
  TY_ASSIGN_OR_RETURN(TwoLayerNetwork network,
                      NetworkFromBlocks(solution, space, targets_.outputs,
                                        spec_.model() == Spec::MODEL_GATED_RELU));
  v1::DenseNetworkModel description;
  *description.mutable_encoding() = encoder_.encoding();
  for (const int column : table_.columns.targets) {
    description.add_targets(table_.table->column(column).name());
  }
  for (const std::string& label : table_.class_labels) description.add_classes(label);
  description.set_loss(targets_.loss == LossKind::kSquared ? v1::DenseNetworkModel::LOSS_SQUARED
                       : targets_.loss == LossKind::kLogistic
                           ? v1::DenseNetworkModel::LOSS_LOGISTIC
                           : v1::DenseNetworkModel::LOSS_SOFTMAX);
  return MakeNetworkModel(std::move(description), std::move(network));
}

absl::StatusOr<double> TrainingProblem::NetworkObjective(
    const NetworkModel& model, double lambda, ThreadPool& pool,
    const std::function<absl::Status()>& check) const {
  const TwoLayerNetwork& network = model.network;
  TY_ASSIGN_OR_RETURN(const DenseColumns columns, model.encoder.Bind(*table_.table));
  const int64_t n = data_.rows();
  const size_t width = static_cast<size_t>(model.encoder.width());
  std::vector<double> outputs(static_cast<size_t>(n * targets_.outputs));
  std::vector<double> features(static_cast<size_t>(std::min(n, kBlockRows)) * width);
  std::vector<double> block(static_cast<size_t>(std::min(n, kBlockRows) * targets_.outputs));
  for (int64_t begin = 0; begin < n; begin += kBlockRows) {
    TY_RETURN_IF_ERROR(check());
    const int64_t count = std::min(kBlockRows, n - begin);
    model.encoder.Encode<double>(
        columns, std::span(rows_).subspan(static_cast<size_t>(begin), static_cast<size_t>(count)),
        features.data(), static_cast<int64_t>(width), pool);
    Forward(network, features.data(), count, static_cast<int64_t>(width), block.data(), pool);
    for (int64_t j = 0; j < count; ++j) {
      for (int o = 0; o < targets_.outputs; ++o) {
        const double offset = output_offset_.empty() ? 0 : output_offset_[static_cast<size_t>(o)];
        outputs[static_cast<size_t>(o * n + begin + j)] =
            block[static_cast<size_t>(j * targets_.outputs + o)] - offset;
      }
    }
  }
  double squares = 0;
  for (int64_t i = 0; i < network.neurons(); ++i) {
    const size_t neuron = static_cast<size_t>(i);
    squares += network.output_weights[neuron] * network.output_weights[neuron];
    for (size_t k = 0; k < width; ++k) {
      const double scaled = network.hidden_weights[neuron * width + k] * norms_[k];
      squares += scaled * scaled;
    }
    if (!has_bias_) continue;
    const double bias = network.hidden_bias[neuron] * norms_.back();
    squares += bias * bias;
  }
  return RowLoss(targets_).Value(outputs.data()) + 0.5 * lambda * squares;
}

}  // namespace trainyard::convex_relu
