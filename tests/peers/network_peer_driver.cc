// network_peer_driver TRAIN.csv MODEL.json TEST.csv FOLDER raw|standardized SEED
//
// Makes a network of random weights on all columns of TRAIN.csv as MODEL.json, a DenseNetworkModel,
// says (targets, classes, loss, gated, neurons), writes its files to FOLDER, reads them again and
// prints the predictions for TEST.csv as CSV.
#include <cmath>
#include <cstdio>
#include <numeric>
#include <string>

#include "core/algorithms/convex_relu/network_files.h"
#include "core/algorithms/convex_relu/network_predictor.h"
#include "core/base/random.h"
#include "core/base/status.h"
#include "tests/peers/peer_io.h"

namespace trainyard::convex_relu {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

std::vector<int64_t> Count(int64_t count) {
  std::vector<int64_t> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), int64_t{0});
  return numbers;
}

// The norms that a solver divides the columns by, that of the ones last.
absl::StatusOr<std::vector<double>> ColumnNorms(const DenseEncoder& encoder, const Table& table) {
  TY_ASSIGN_OR_RETURN(const DenseColumns columns, encoder.Bind(table));
  const auto width = static_cast<size_t>(encoder.width());
  std::vector<double> rows(static_cast<size_t>(table.row_count()) * width);
  ThreadPool pool(1);
  encoder.Encode(columns, 0, table.row_count(), rows.data(), encoder.width(), pool);
  std::vector<double> norms(width + 1);
  for (size_t i = 0; i < rows.size(); ++i) norms[i % width] += rows[i] * rows[i];
  norms[width] = static_cast<double>(table.row_count());
  for (double& norm : norms) norm = std::sqrt(norm);
  return norms;
}

absl::StatusOr<TwoLayerNetwork> RandomNetwork(const v1::DenseNetworkModel& description,
                                              std::span<const double> norms, uint64_t seed) {
  Rng rng(seed);
  const int outputs = OutputCount(description);
  const auto neurons = static_cast<size_t>(description.neurons());
  // Rows of a scaled table are about 1 / sqrt(rows).
  std::vector<double> weights(neurons * norms.size());
  std::vector<double> gates(weights.size());
  for (double& weight : weights) weight = rng.NextGaussian() * norms.back() / 4;
  for (double& gate : gates) gate = rng.NextGaussian();
  std::vector<SolutionBlock> blocks;
  for (size_t b = 0; b < neurons; ++b) {
    const size_t first = b * norms.size();
    blocks.push_back({static_cast<int>(rng.UniformInt(static_cast<uint64_t>(outputs))),
                      b % 2 == 0 ? 1.0 : -1.0, std::span(weights).subspan(first, norms.size()),
                      std::span(gates).subspan(first, norms.size())});
  }
  const std::vector<double> offset(static_cast<size_t>(outputs), 0.25);
  return NetworkFromBlocks(blocks, {norms, true, offset, {}}, outputs, description.gated());
}

void Print(const Predictions& predictions) {
  const size_t rows =
      std::max(predictions.columns[0].numbers.size(), predictions.columns[0].texts.size());
  for (size_t k = 0; k < predictions.columns.size(); ++k) {
    std::printf("%s%s", k == 0 ? "" : ",", predictions.columns[k].name.c_str());
  }
  for (size_t row = 0; row < rows; ++row) {
    std::printf("\n");
    for (size_t k = 0; k < predictions.columns.size(); ++k) {
      const auto& column = predictions.columns[k];
      if (k > 0) std::printf(",");
      if (column.texts.empty()) {
        std::printf("%.17g", row < column.numbers.size() ? column.numbers[row] : kMissing);
      } else {
        std::printf("%s", column.texts[row].c_str());
      }
    }
  }
  std::printf("\n");
}

absl::Status Run(int argc, char** argv) {
  if (argc != 7) {
    return absl::InvalidArgumentError(
        "usage: TRAIN.csv MODEL.json TEST.csv FOLDER raw|standardized SEED");
  }
  TY_ASSIGN_OR_RETURN(const auto train, ReadTable(argv[1], {}, {}, 1));
  v1::DenseNetworkModel description;
  TY_RETURN_IF_ERROR(ReadPeerOptions(argv[2], description));
  TY_ASSIGN_OR_RETURN(const auto test, ReadTable(argv[3], {}, {}, 1));
  std::vector<int> columns(static_cast<size_t>(train->column_count()));
  std::iota(columns.begin(), columns.end(), 0);
  DenseEncoderOptions options;
  options.standardize = std::string(argv[5]) == "standardized";
  TY_ASSIGN_OR_RETURN(
      const DenseEncoder encoder,
      DenseEncoder::Learn(*train, columns, Count(train->row_count()), {}, options, {}));
  *description.mutable_encoding() = encoder.encoding();
  TY_ASSIGN_OR_RETURN(const std::vector<double> norms, ColumnNorms(encoder, *train));
  TY_ASSIGN_OR_RETURN(TwoLayerNetwork network,
                      RandomNetwork(description, norms, std::stoull(argv[6])));
  TY_ASSIGN_OR_RETURN(const NetworkModel model,
                      MakeNetworkModel(std::move(description), std::move(network)));
  TY_ASSIGN_OR_RETURN(const std::string without, WriteNetworkModel(model, argv[4], {}));
  if (!without.empty()) return absl::InternalError(without);
  TY_ASSIGN_OR_RETURN(NetworkModel read, ReadNetworkModel(argv[4]));
  TY_ASSIGN_OR_RETURN(const Predictions predictions,
                      MakeNetworkPredictor(std::move(read))->Predict(*test, 2));
  Print(predictions);
  return absl::OkStatus();
}

}  // namespace
}  // namespace trainyard::convex_relu

int main(int argc, char** argv) {
  return trainyard::RunDriver(trainyard::convex_relu::Run, argc, argv);
}
