// Explanation of a stored tree model on tables.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/algorithms/algorithm.h"
#include "core/trees/ensemble.h"
#include "core/trees/tree_predictor.h"
#include "trainyard/v1/tree.pb.h"

namespace trainyard {

// The features of a model, taken from a table.
struct BoundColumns {
  std::vector<FeatureColumn> columns;
  std::shared_ptr<const void> owner;  // of what the columns point to beside the table
};

// Explains one model by the options of a v1::ExplainHeader. Immutable and thread-safe.
class TreeModelExplainer {
 public:
  // Takes the features of the model from a table; fails with violations where that cannot be done.
  using Bind = std::function<absl::StatusOr<BoundColumns>(const Table& table)>;

  // `ensemble` is that of `model`. It is not kept: explanations take splits and values from
  // `predictor`, of the same ensemble, which must outlive this; only the weights of nodes stay.
  TreeModelExplainer(const v1::TreeModel& model, const TreeEnsemble& ensemble,
                     const TreePredictor& predictor);
  ~TreeModelExplainer();

  // As Predictor::Explain; the explainer must outlive the explanation.
  absl::StatusOr<std::unique_ptr<Explanation>> Explain(ExplanationRequest request,
                                                       const Bind& bind) const;

  // What explanations need to know of the model.
  struct Model {
    std::vector<v1::ColumnSchema> features;
    std::vector<std::string> targets;
    std::vector<std::string> classes;
    std::vector<std::string> outputs;          // names of the raw scores
    std::vector<std::vector<double>> weights;  // N by tree and node, numbered as in BreadthFirst
    std::vector<double> impurity_importance;
    const TreePredictor* predictor = nullptr;

    // The ensemble with splits, values and weights, made anew.
    TreeEnsemble Ensemble() const;
  };

 private:
  std::unique_ptr<Model> model_;
};

}  // namespace trainyard
