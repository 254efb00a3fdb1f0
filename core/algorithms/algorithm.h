// What every algorithm offers to the service.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/explanation.h"
#include "core/data/table.h"
#include "core/training/training_context.h"
#include "proto/schema/violations.h"
#include "trainyard/v1/job.pb.h"
#include "trainyard/v1/model.pb.h"
#include "trainyard/v1/table.pb.h"
#include "trainyard/v1/training_spec.pb.h"

namespace trainyard {

// Schemas of the tables that a spec names, by the name that stands in the spec.
using TableSchemas = std::map<std::string, v1::TableSchema>;
// The tables themselves, likewise.
using Tables = std::map<std::string, std::shared_ptr<const Table>>;

// What a training leaves behind beside the files in TrainingContext::model_folder().
struct TrainingResult {
  // `wall_seconds` and `peak_memory_bytes` are filled in by the worker.
  v1::Report report;
  // `format_version`, `algorithm`, `spec` and `trainyard_version` are filled in by the worker.
  v1::ModelManifest manifest;
};

// Predictions for the rows of a table: columns of equal length, printed as CSV in this order.
struct Predictions {
  struct Column {
    std::string name;
    std::vector<double> numbers;     // used unless `texts` is given
    std::vector<std::string> texts;  // class labels
  };
  std::vector<Column> columns;
};

// What an explanation is about.
struct ExplanationRequest {
  // Checked by its fields' rules; names of resources are the caller's business.
  v1::ExplainHeader header;
  std::shared_ptr<const Table> table;
  // Where background rows come from; may be `table`.
  std::shared_ptr<const Table> background;
  int threads = 1;
  // Not OK: the explanation stops and returns this status. Called from any thread, every 50 ms.
  std::function<absl::Status()> check;
};

// A model loaded for use. Thread-safe.
class Predictor {
 public:
  virtual ~Predictor() = default;
  // Applies the model to every row. INVALID_ARGUMENT with violations when columns that the model
  // needs are absent or of another type. Columns are found by name; others are ignored.
  virtual absl::StatusOr<Predictions> Predict(const Table& table, int threads) const = 0;
  // Explains the model; the predictor must outlive the explanation. UNIMPLEMENTED where that cannot
  // be done for models of this kind; INVALID_ARGUMENT with violations, whose paths begin with
  // `header`, when the request does not fit the model or the table.
  virtual absl::StatusOr<std::unique_ptr<Explanation>> Explain(
      ExplanationRequest /*request*/) const {
    return absl::UnimplementedError("models of this algorithm cannot be explained");
  }
};

// One of the six job types. Stateless and thread-safe; instances live for ever.
class Algorithm {
 public:
  virtual ~Algorithm() = default;

  // Name of the member of TrainingSpec.
  virtual std::string_view name() const = 0;
  // One line for people.
  virtual std::string_view title() const = 0;
  // The paper.
  virtual std::string_view citation() const = 0;

  // Fills in what depends on the data (task, target columns, …). Called after FillDefaults and
  // CheckFieldRules; adds a violation, whose path begins with `path`, that of `spec`, for
  // everything in the spec that does not fit the tables. May be called with tables of the newest
  // version only.
  virtual void Resolve(const TableSchemas& tables, std::string_view path, v1::TrainingSpec& spec,
                       Violations& violations) const = 0;

  // Upper estimate of the resident memory that the training needs beyond the worker's base, in
  // bytes.
  virtual int64_t EstimateMemory(const v1::TrainingSpec& spec,
                                 const TableSchemas& tables) const = 0;

  // Trains. Errors: INVALID_ARGUMENT and FAILED_PRECONDITION are the user's (END_CAUSE_USER_ERROR),
  // OUT_OF_RANGE means that the training diverged, RESOURCE_EXHAUSTED that memory ran out,
  // CANCELLED comes from TrainingContext::CheckCancelled. The same spec, tables and thread count
  // give the same model, bit for bit.
  virtual absl::StatusOr<TrainingResult> Train(const v1::TrainingSpec& spec, const Tables& tables,
                                               TrainingContext& context) const = 0;

  // Loads a model folder that Train wrote. DATA_LOSS when the files are damaged; UNIMPLEMENTED when
  // models of this algorithm cannot be applied to tables.
  virtual absl::StatusOr<std::unique_ptr<Predictor>> LoadPredictor(
      const v1::ModelManifest& manifest, const std::filesystem::path& model_folder) const = 0;
};

}  // namespace trainyard
