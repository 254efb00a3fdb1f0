#include "core/algorithms/convex_relu/network_predictor.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/algorithms/metrics.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

// Most encoded numbers at a time: 16 MiB.
constexpr int64_t kNumbersAtOnce = int64_t{1} << 21;
// Multiplications of a thread between two checks, some 20 ms.
constexpr int64_t kWorkAtOnce = int64_t{1} << 28;

// Rows between two checks: whole tasks of Forward for every thread, so that what a row is computed
// with does not depend on the number of threads.
int64_t RowsAtOnce(const NetworkModel& model, int threads) {
  const int64_t width = model.encoder.width();
  const int64_t row_work =
      std::max<int64_t>(width * model.network.neurons() * (model.network.gated ? 2 : 1), 1);
  const int64_t rows =
      std::min({kNumbersAtOnce / width, kWorkAtOnce / row_work * threads, int64_t{8192} * threads});
  return std::max<int64_t>(rows / kForwardRows, threads) * kForwardRows;
}

class NetworkPredictor final : public Predictor {
 public:
  explicit NetworkPredictor(NetworkModel model) : model_(std::move(model)) {}

  absl::StatusOr<Predictions> Predict(const Table& table, int threads) const override {
    TY_ASSIGN_OR_RETURN(const DenseColumns columns, model_.encoder.Bind(table));
    std::vector<int64_t> rows(static_cast<size_t>(table.row_count()));
    std::iota(rows.begin(), rows.end(), int64_t{0});
    const int64_t tasks = (table.row_count() + kForwardRows - 1) / kForwardRows;
    ThreadPool pool(static_cast<int>(std::clamp<int64_t>(tasks, 1, std::max(threads, 1))));
    TY_ASSIGN_OR_RETURN(const std::vector<double> values,
                        PredictRows(model_, columns, rows, pool, {}));
    return model_.description.classes().empty() ? ValueColumns(values) : ClassColumns(values);
  }

 private:
  static Predictions::Column NumberColumn(std::string name, const std::vector<double>& values,
                                          size_t first, size_t width) {
    Predictions::Column column;
    column.name = std::move(name);
    column.numbers.reserve(values.size() / width);
    for (size_t i = first; i < values.size(); i += width) column.numbers.push_back(values[i]);
    return column;
  }

  Predictions ValueColumns(const std::vector<double>& values) const {
    const auto& targets = model_.description.targets();
    Predictions predictions;
    for (int k = 0; k < targets.size(); ++k) {
      predictions.columns.push_back(
          NumberColumn(targets.size() == 1 ? "prediction" : "prediction_" + targets[k], values,
                       static_cast<size_t>(k), static_cast<size_t>(targets.size())));
    }
    return predictions;
  }

  Predictions ClassColumns(const std::vector<double>& values) const {
    const auto& classes = model_.description.classes();
    const size_t width = static_cast<size_t>(classes.size());
    Predictions predictions;
    Predictions::Column& chosen = predictions.columns.emplace_back();
    chosen.name = "prediction";
    for (auto row = values.begin(); row != values.end(); row += static_cast<ptrdiff_t>(width)) {
      const auto best = std::max_element(row, row + static_cast<ptrdiff_t>(width));
      chosen.texts.push_back(classes[static_cast<int>(best - row)]);
    }
    const char* const kind = GivesProbabilities(model_.description) ? "probability_" : "score_";
    for (size_t k = 0; k < width; ++k) {
      predictions.columns.push_back(
          NumberColumn(kind + classes[static_cast<int>(k)], values, k, width));
    }
    return predictions;
  }

  const NetworkModel model_;
};

}  // namespace

std::unique_ptr<Predictor> MakeNetworkPredictor(NetworkModel model) {
  return std::make_unique<NetworkPredictor>(std::move(model));
}

absl::StatusOr<std::vector<double>> PredictRows(const NetworkModel& model,
                                                const DenseColumns& columns,
                                                std::span<const int64_t> rows, ThreadPool& pool,
                                                const std::function<absl::Status()>& check) {
  const int64_t width = model.encoder.width();
  const size_t outputs = static_cast<size_t>(model.network.outputs);
  const auto at_once = static_cast<size_t>(RowsAtOnce(model, pool.threads()));
  std::vector<double> encoded(std::min(at_once, rows.size()) * static_cast<size_t>(width));
  std::vector<double> values(rows.size() * outputs);
  for (size_t begin = 0; begin < rows.size(); begin += at_once) {
    if (check) TY_RETURN_IF_ERROR(check());
    const std::span<const int64_t> own =
        rows.subspan(begin, std::min(at_once, rows.size() - begin));
    model.encoder.Encode(columns, own, encoded.data(), width, pool);
    Forward(model.network, encoded.data(), static_cast<int64_t>(own.size()), width,
            values.data() + begin * outputs, pool);
  }
  return PredictionsOf(model.description, values);
}

absl::StatusOr<std::map<std::string, double>> MeasureRows(
    const NetworkModel& model, const DenseColumns& columns, const LearningTable& data,
    std::span<const int64_t> rows, ThreadPool& pool, const std::function<absl::Status()>& check) {
  using Metrics = std::map<std::string, double>;
  if (rows.empty()) return Metrics();
  TY_ASSIGN_OR_RETURN(const std::vector<double> predictions,
                      PredictRows(model, columns, rows, pool, check));
  const std::vector<double> weights = data.WeightsOf(rows);
  if (!data.classification()) {
    return RegressionMetrics(predictions, data.ValuesOf(rows), weights, data.outputs());
  }
  TY_ASSIGN_OR_RETURN(Metrics metrics, ClassificationMetrics(predictions, data.ClassesOf(rows),
                                                             weights, data.outputs(), check));
  if (!GivesProbabilities(model.description)) metrics.erase("log_loss");
  return metrics;
}

}  // namespace trainyard::convex_relu
